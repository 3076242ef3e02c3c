// A process that runs without a session and is rung: what it tells from then on, that it leaves, and that it is as
// before. The test is the attacher; each program is a child, which starts its telemetry once.
#include "core/telemetry/attachment.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "core/os/barrier.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/telemetry.h"
#include "session.h"
#include "wire/bell.h"
#include "wire/tape.h"

namespace tenure::telemetry {
namespace {

namespace fs = std::filesystem;

// What the test and its program share: steps, by which each waits for the other.
struct shared_words {
  std::uint32_t is_over;
  std::uint64_t told;  // pairs, while recording was seen to be on
};

shared_words& share() {
  static auto* const words = static_cast<shared_words*>(
      mmap(nullptr, sizeof(shared_words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  return *words;
}

bool is_over() { return __atomic_load_n(&share().is_over, __ATOMIC_ACQUIRE) != 0; }

void allocate_and_free(std::uint64_t number) {
  auto* block = reinterpret_cast<void*>(0x10000000 + number * 16);
  if (is_recording()) {
    tell_allocation(block, 100, wire::allocation_entry::calloc, own_caller());
    __atomic_fetch_add(&share().told, 1, __ATOMIC_RELAXED);
  }
  if (is_recording()) tell_free(block, own_caller());
}

class AttachmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    os::prepare_process_barrier();
    if (os::process_barrier_missing()) GTEST_SKIP() << "the kernel has no barrier on all threads";
    share() = {};
  }
  void TearDown() override {
    __atomic_store_n(&share().is_over, 1, __ATOMIC_RELEASE);
    if (program > 0) {
      EXPECT_EQ(waitpid(program, &status, 0), program);
      EXPECT_EQ(status, 0);
    }
    fs::remove_all(folder());
    // The next program shall not have it from here.
    if (bells_ != nullptr) munmap(bells_, wire::bells_bytes);
  }

  template <class Run>
  void begin(Run&& run) {
    program = fork();
    ASSERT_GE(program, 0);
    if (program == 0) {
      unsetenv("TENURE_SESSION");
      os::prepare_process_barrier();
      start();
      run();
      _exit(0);
    }
  }
  void begin_telling(unsigned threads) {
    begin([threads] {
      std::vector<std::thread> all;
      for (unsigned i = 0; i < threads; ++i) {
        all.emplace_back([i] {
          for (std::uint64_t number = 0; !is_over(); ++number) allocate_and_free(number % 1000 * 64 + i);
          end_thread_recording();
        });
      }
      for (std::thread& one : all) one.join();
      check_recorder();
    });
  }

  fs::path folder() const {
    return fs::path(wire::bells_folder) /
           ("tenure-" + std::to_string(geteuid()) + "." + std::to_string(program) + wire::attached_suffix);
  }
  fs::path file(const char* extension) const { return folder() / (std::to_string(program) + ".0." + extension); }
  std::uint64_t* bells() {
    if (bells_ != nullptr) return bells_;
    const fs::path path = fs::path(wire::bells_folder) / ("tenure-" + std::to_string(geteuid()) + wire::bells_infix +
                                                          std::to_string(wire::region_version));
    until([&] { return fs::exists(path) && fs::file_size(path) == wire::bells_bytes; });
    const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
    bells_ = static_cast<std::uint64_t*>(
        mmap(nullptr, wire::bells_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0));
    close(descriptor);
    return bells_;
  }
  std::uint64_t& bell() { return bells()[wire::bell_place(static_cast<std::uint32_t>(program))]; }

  void ring(wire::recording_mode mode) {
    until([&] { return has_mapped(wire::bells_infix); });
    fs::create_directory(folder());
    lock = open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
    const wire::session_wishes wishes{wire::wishes_magic, wire::region_version, static_cast<std::uint32_t>(mode), 8192};
    std::ofstream(folder() / "wishes", std::ios::binary).write(reinterpret_cast<const char*>(&wishes), sizeof wishes);
    __atomic_store_n(&bell(), wire::make_bell(static_cast<std::uint32_t>(program), static_cast<std::uint32_t>(program)),
                     __ATOMIC_RELEASE);
  }
  void let_go() {
    __atomic_store_n(&bell(), 0, __ATOMIC_RELEASE);
    if (lock >= 0) close(lock);
    lock = -1;
    fs::remove_all(folder());
  }
  bool is_complete(const fs::path& path, std::uint64_t magic) {
    std::uint64_t word = 0;
    std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&word), sizeof word);
    return word == magic;
  }
  void until_attached(bool is_recorded) {
    until([&] { return is_complete(file("region"), wire::region_magic); });
    if (is_recorded) until([&] { return is_complete(file("tape"), wire::tape_magic); });
  }
  bool has_mapped(const std::string& what) const {
    std::ifstream maps("/proc/" + std::to_string(program) + "/maps");
    for (std::string line; std::getline(maps, line);)
      if (line.find(what) != std::string::npos) return true;
    return false;
  }
  template <class Condition>
  static void until(Condition&& condition) {
    for (int i = 0; i < 60'000 && !condition(); ++i) usleep(1000);
    ASSERT_TRUE(condition());
  }

  pid_t program = 0;
  int status = 0;
  int lock = -1;
  std::uint64_t* bells_ = nullptr;
};

TEST_F(AttachmentTest, NobodyIsToldAnythingWithoutABell) {
  begin_telling(1);
  until([&] { return has_mapped(wire::bells_infix); });
  // Rung for another process with the same place.
  const auto number = static_cast<std::uint32_t>(program);
  __atomic_store_n(&bell(), wire::make_bell(number + wire::bell_count, number + wire::bell_count), __ATOMIC_RELEASE);
  usleep(10'000);
  EXPECT_FALSE(has_mapped(".region"));
  EXPECT_EQ(bell(), wire::make_bell(number + wire::bell_count, number + wire::bell_count));
  __atomic_store_n(&bell(), 0, __ATOMIC_RELEASE);
}

TEST_F(AttachmentTest, ABellWithoutAnybodyIsSilenced) {
  begin_telling(2);
  ring(wire::recording_mode::drop);
  until_attached(true);
  close(std::exchange(lock, -1));
  // Seconds later it looks, finds nobody and leaves.
  until([&] { return !has_mapped(".tape") && !has_mapped(".region"); });
  until([&] { return __atomic_load_n(&bell(), __ATOMIC_ACQUIRE) == 0; });
}

// Again and again, with threads that tell at every moment of it.
TEST_F(AttachmentTest, ThreadsTellWhileTheProcessEntersAndLeaves) {
  begin_telling(4);
  for (int round = 0; round < 20; ++round) {
    ring(wire::recording_mode::drop);
    until_attached(true);
    {
      testing::seen_region region(file("region"));
      EXPECT_EQ(region.header().origin, static_cast<std::uint32_t>(wire::origin::attached));
      EXPECT_EQ(region.control().sample_interval_bytes, 0u);
      __atomic_fetch_or(&region.control().recording, wire::control_copy, __ATOMIC_RELEASE);
      until([&] { return (__atomic_load_n(&region.control().recording, __ATOMIC_ACQUIRE) & wire::control_copy) == 0; });
      __atomic_store_n(&bell(), 0, __ATOMIC_RELEASE);
      __atomic_fetch_or(&region.control().recording, wire::control_leave, __ATOMIC_RELEASE);
      until([&] { return region.life() == wire::life::left; });
    }
    EXPECT_FALSE(has_mapped(".tape"));
    let_go();
  }
  until([&] { return !has_mapped(".region"); });
}

TEST_F(AttachmentTest, ASampledProcessIsToldWhatLives) {
  begin([] {
    char blocks[4];
    for (char& one : blocks) record_allocation(&one, 100, 112, 1 << 20, wire::allocation_entry::malloc);
    record_free(&blocks[3]);
    while (!is_over()) static_cast<void>(is_recording());
  });
  ring(wire::recording_mode::off);
  until_attached(false);
  testing::seen_region region(file("region"));
  EXPECT_EQ(region.control().sample_interval_bytes, 8192u);
  ASSERT_EQ(region.samples.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(region.samples[i].head.requested_bytes, 100u);
    EXPECT_EQ(region.samples[i].head.interval_bytes, 1u << 20);
  }
  EXPECT_TRUE(region.frames_without_module.empty());
  __atomic_fetch_or(&region.control().recording, wire::control_leave, __ATOMIC_RELEASE);
  until([&] { return region.life() == wire::life::left; });
  let_go();
}

// The child of an attached process is attached to as well, and rings for what it starts.
TEST_F(AttachmentTest, AForkIsFollowed) {
  begin([] {
    while (!is_attached()) static_cast<void>(is_recording());
    const pid_t child = fork();
    if (child == 0) {
      before_fork();
      after_fork_in_child();
      if (!is_attached() || !is_recording()) _exit(1);
      allocate_and_free(1);
      finish();
      _exit(0);
    }
    int ended = 0;
    if (waitpid(child, &ended, 0) != child || ended != 0) _exit(1);
    __atomic_store_n(&share().told, static_cast<std::uint64_t>(child), __ATOMIC_RELEASE);
    while (!is_over()) usleep(1000);
  });
  ring(wire::recording_mode::block);
  until([&] { return __atomic_load_n(&share().told, __ATOMIC_ACQUIRE) > 1; });
  const auto child = static_cast<std::uint32_t>(share().told);
  const fs::path region = folder() / (std::to_string(child) + ".0.region");
  const testing::seen_region seen(region);
  EXPECT_EQ(seen.header().origin, static_cast<std::uint32_t>(wire::origin::fork));
  EXPECT_EQ(seen.life(), wire::life::exited);
  EXPECT_TRUE(fs::exists(folder() / (std::to_string(child) + ".0.tape")));
  std::uint64_t& rung = bells()[wire::bell_place(child)];
  EXPECT_EQ(rung, wire::make_bell(child, static_cast<std::uint32_t>(program)));
  rung = 0;
  let_go();
}

}  // namespace
}  // namespace tenure::telemetry
