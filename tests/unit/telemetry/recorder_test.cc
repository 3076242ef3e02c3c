// The recorder in processes of their own, read as the command would: from the session's folder alone.
#include "core/telemetry/recorder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "core/telemetry/telemetry.h"
#include "session.h"
#include "wire/tape_reader.h"

namespace tenure::telemetry {
namespace {

using wire::tape_kind;

void wish_for_word(const testing::session& of, std::uint32_t word) {
  const wire::session_wishes wishes{wire::wishes_magic, wire::region_version, word, 0};
  std::ofstream(of.folder / "wishes", std::ios::binary).write(reinterpret_cast<const char*>(&wishes), sizeof wishes);
}

void wish_for(const testing::session& of, wire::recording_mode mode, bool tells_free_stacks = false) {
  wish_for_word(of, wire::recording_word(mode, tells_free_stacks));
}

// All rings of a tape, each record with the thread that told it.
struct seen_tape {
  struct told {
    wire::tape_record record;
    std::uint64_t thread_id;
    std::uint32_t ring;
  };

  explicit seen_tape(const std::filesystem::path& file) {
    const int descriptor = open(file.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(descriptor, 0) << file;
    memory = static_cast<std::byte*>(
        mmap(nullptr, wire::tape_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0));
    close(descriptor);
    EXPECT_NE(static_cast<void*>(memory), MAP_FAILED);
    for (std::uint32_t ring = 0; ring < header().ring_count; ++ring) read(ring);
  }
  ~seen_tape() { munmap(memory, wire::tape_bytes); }
  seen_tape(const seen_tape&) = delete;
  seen_tape& operator=(const seen_tape&) = delete;

  const wire::tape_header& header() const { return *reinterpret_cast<const wire::tape_header*>(memory); }

  std::size_t count(tape_kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const told& one) { return one.record.kind == kind; }));
  }
  std::vector<std::uint64_t> frames_of(std::uint32_t stack) const {
    const auto* const nodes = reinterpret_cast<const wire::stack_node*>(memory + wire::tape_nodes_offset_bytes);
    std::vector<std::uint64_t> frames;
    wire::stack_node node;
    for (; stack >= wire::stack_root_count; stack = node.parent) {
      EXPECT_TRUE(wire::read_stack_node(nodes, stack, &node));
      frames.push_back(node.address);
    }
    EXPECT_EQ(stack, static_cast<std::uint32_t>(wire::stack_root::complete));
    return frames;
  }

  std::vector<told> all;
  std::uint64_t lost_allocations = 0;
  std::uint64_t lost_bytes = 0;
  std::uint64_t lost_frees = 0;

 private:
  void read(std::uint32_t ring) {
    const wire::ring_place place = wire::ring_place_of(ring);
    wire::tape_ring_reader reader(reinterpret_cast<wire::tape_ring_header*>(memory + place.header_offset_bytes),
                                  reinterpret_cast<std::uint64_t*>(memory + place.words_offset_bytes),
                                  place.capacity_words);
    std::vector<std::uint64_t> words;
    EXPECT_TRUE(reader.take(
        [&](const std::uint64_t* from, std::uint64_t count) { words.insert(words.end(), from, from + count); }));
    std::uint64_t thread_id = 0;
    wire::tape_record one;
    for (std::size_t at = 0; at < words.size();) {
      const std::uint64_t length = wire::decode_tape_record(&words[at], words.size() - at, &one);
      ASSERT_NE(length, 0u);
      at += length;
      if (one.kind == tape_kind::thread) thread_id = one.address;
      all.push_back({one, thread_id, ring});
    }
    lost_allocations += reader.lost().allocations;
    lost_bytes += reader.lost().bytes;
    lost_frees += reader.lost().frees;
  }

  std::byte* memory = nullptr;
};

// Whether the program has made its tape and said so; before that it has neither its length nor its pages.
bool is_made(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::file_size(file, error) != wire::tape_bytes || error) return false;
  std::uint64_t magic = 0;
  static_assert(offsetof(wire::tape_header, magic) == 0 && sizeof magic == sizeof wire::tape_header::magic);
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&magic), sizeof magic);
  return magic == wire::tape_magic;
}

std::filesystem::path tape_of(const testing::session& of, pid_t pid) {
  return of.folder / (std::to_string(pid) + ".0.tape");
}

void* block(std::uint64_t number) { return reinterpret_cast<void*>(0x10000000 + number * 64); }

// As the heap's functions do: the stack is that of who calls them.
[[gnu::noinline]] void allocates(std::uint64_t number, std::size_t bytes, wire::allocation_entry entry) {
  tell_allocation(block(number), bytes, entry, own_caller());
}
[[gnu::noinline]] void frees(std::uint64_t number) { tell_free(block(number), own_caller()); }
[[gnu::noinline]] void frees_range(std::uintptr_t begin, std::size_t bytes) {
  tell_free_range(begin, bytes, own_caller());
}

[[gnu::noinline]] void tell_pairs(std::uint64_t from, std::uint64_t count) {
  for (std::uint64_t i = from; i < from + count; ++i) {
    allocates(i, i, wire::allocation_entry::calloc);
    frees(i);
  }
}

TEST(recorder, tells_nothing_and_has_no_tape_unless_it_is_wished_for) {
  testing::session session;
  ASSERT_EQ(session.run([] {
    start();
    if (is_recording()) _exit(1);
  }),
            0);
  EXPECT_EQ(session.file_count(), 1u);
}

TEST(recorder, tells_each_allocation_and_free_with_thread_stack_and_time) {
  testing::session session;
  wish_for(session, wire::recording_mode::block);
  ASSERT_EQ(session.run([] {
    start();
    if (!is_recording()) _exit(1);
    tell_pairs(1, 1000);
    check_recorder();
    finish();
  }),
            0);
  const seen_tape tape(tape_of(session, session.last_child));
  const testing::seen_region region(session.file(session.last_child));
  ASSERT_EQ(tape.all.size(), 2001u);
  EXPECT_EQ(tape.all[0].record.kind, tape_kind::thread);
  std::uint64_t ticks = 0;
  std::set<std::uint32_t> stacks;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    const auto& allocated = tape.all[i * 2 - 1];
    const auto& freed = tape.all[i * 2];
    EXPECT_EQ(allocated.record.kind, tape_kind::allocation);
    EXPECT_EQ(allocated.record.address, 0x10000000 + i * 64);
    EXPECT_EQ(allocated.record.bytes, i);
    EXPECT_EQ(allocated.record.entry, static_cast<std::uint32_t>(wire::allocation_entry::calloc));
    EXPECT_EQ(freed.record.kind, tape_kind::free);
    EXPECT_EQ(freed.record.address, 0x10000000 + i * 64);
    EXPECT_EQ(allocated.thread_id, static_cast<std::uint64_t>(session.last_child));
    EXPECT_GE(allocated.record.ticks, ticks);
    EXPECT_GE(freed.record.ticks, allocated.record.ticks);
    ticks = freed.record.ticks;
    stacks.insert(allocated.record.stack);
  }
  // One stack, or a few where the compiler has made several calls of the one; and the region says which file each of
  // its addresses is in.
  EXPECT_LE(stacks.size(), 8u);
  const auto frames = tape.frames_of(tape.all[1].record.stack);
  EXPECT_GT(frames.size(), 5u);
  for (const std::uint64_t frame : frames) {
    bool known = false;
    for (const auto& module : region.modules) known |= frame > module.head.begin && frame <= module.head.end;
    EXPECT_TRUE(known) << std::hex << frame;
  }
}

// Functions with sections of their own, whose bounds the linker tells: two that differ in who frees.
extern "C" const char __start_frees_here_text[], __stop_frees_here_text[];
extern "C" const char __start_frees_there_text[], __stop_frees_there_text[];
extern "C" const char __start_free_there_text[], __stop_free_there_text[];

[[gnu::noinline, gnu::section("frees_here_text")]] void frees_here() {
  allocates(1, 1, wire::allocation_entry::malloc);
  frees(1);
  asm volatile("");
}
[[gnu::noinline, gnu::section("free_there_text")]] void free_there() {
  frees(2);
  asm volatile("");
}
[[gnu::noinline, gnu::section("frees_there_text")]] void frees_there() {
  allocates(2, 1, wire::allocation_entry::malloc);
  free_there();
  frees_range(0x10000000, 4096);
  asm volatile("");
}

bool passes(const std::vector<std::uint64_t>& frames, const char* begin, const char* end) {
  return std::any_of(frames.begin(), frames.end(), [&](std::uint64_t frame) {
    return frame > reinterpret_cast<std::uintptr_t>(begin) && frame <= reinterpret_cast<std::uintptr_t>(end);
  });
}

TEST(recorder, tells_the_stacks_of_frees_where_they_are_wished_for) {
  testing::session session;
  wish_for(session, wire::recording_mode::block, true);
  ASSERT_EQ(session.run([] {
    start();
    if (!is_recording()) _exit(1);
    frees_here();
    frees_there();
    check_recorder();
    finish();
  }),
            0);
  const seen_tape tape(tape_of(session, session.last_child));
  std::vector<std::vector<std::uint64_t>> stacks;
  std::vector<tape_kind> kinds;
  for (const auto& one : tape.all) {
    if (one.record.kind == tape_kind::thread) continue;
    kinds.push_back(one.record.kind);
    stacks.push_back(tape.frames_of(one.record.stack));
  }
  ASSERT_EQ(kinds, (std::vector{tape_kind::allocation, tape_kind::free_with_stack, tape_kind::allocation,
                                tape_kind::free_with_stack, tape_kind::free_range_with_stack}));
  const auto by = [&](std::size_t which) {
    return std::array{passes(stacks[which], __start_frees_here_text, __stop_frees_here_text),
                      passes(stacks[which], __start_frees_there_text, __stop_frees_there_text),
                      passes(stacks[which], __start_free_there_text, __stop_free_there_text)};
  };
  EXPECT_EQ(by(1), (std::array{true, false, false}));
  EXPECT_EQ(by(3), (std::array{false, true, true}));
  EXPECT_EQ(by(4), (std::array{false, true, false}));
  // All of them come from the same callers.
  for (const auto& stack : stacks) EXPECT_EQ(stack.back(), stacks[0].back());
}

TEST(recorder, records_nothing_on_a_wish_that_makes_no_sense) {
  for (const std::uint32_t word : {3u, wire::control_free_stacks, 1u | wire::control_copy, 2u | wire::control_leave}) {
    testing::session session;
    wish_for_word(session, word);
    ASSERT_EQ(session.run([] {
      start();
      if (is_recording()) _exit(1);
    }),
              0)
        << word;
  }
}

TEST(recorder, counts_what_finds_its_ring_full) {
  testing::session session;
  wish_for(session, wire::recording_mode::drop);
  constexpr std::uint64_t pairs = 100'000;
  ASSERT_EQ(session.run([] {
    start();
    tell_pairs(1, pairs);
    finish();
  }),
            0);
  const seen_tape tape(tape_of(session, session.last_child));
  EXPECT_GT(tape.lost_allocations, 0u);
  EXPECT_EQ(tape.count(tape_kind::allocation) + tape.lost_allocations, pairs);
  EXPECT_EQ(tape.count(tape_kind::free) + tape.lost_frees, pairs);
  std::uint64_t bytes = tape.lost_bytes;
  for (const auto& one : tape.all) bytes += one.record.kind == tape_kind::allocation ? one.record.bytes : 0;
  EXPECT_EQ(bytes, pairs * (pairs + 1) / 2);
}

// The threads follow each other on one ring, which is emptied before each, so that it can say who it is.
TEST(recorder, tells_the_losses_of_each_thread_that_had_a_ring) {
  testing::session session;
  wish_for(session, wire::recording_mode::drop);
  ASSERT_EQ(session.run([&session] {
    constexpr std::uint64_t threads = 4, least_pairs = 60'000;
    start();
    std::uint64_t lost_before = 0, frees_before = 0;
    for (std::uint64_t i = 0; i < threads; ++i) {
      const std::uint64_t pairs = least_pairs + i * 5'000;
      std::thread([pairs] {
        tell_pairs(1, pairs);
        end_thread_recording();
      }).join();
      // What it told is there; all else it has lost.
      const seen_tape tape(tape_of(session, getpid()));
      const std::uint64_t told = tape.count(tape_kind::allocation), freed = tape.count(tape_kind::free);
      const auto says = std::find_if(tape.all.begin(), tape.all.end(),
                                     [](const auto& one) { return one.record.kind == tape_kind::thread; });
      if (says == tape.all.end() || told == pairs) _exit(1);
      // The record of its beginning has the losses of those before.
      if (says->record.lost.allocations != lost_before || says->record.lost.frees != frees_before) _exit(2);
      lost_before += pairs - told;
      frees_before += pairs - freed;
      if (tape.lost_allocations != lost_before || tape.lost_frees != frees_before) _exit(3);
    }
    finish();
  }),
            0);
}

TEST(recorder, gives_the_ring_of_a_thread_that_ended_to_the_next) {
  testing::session session;
  wish_for(session, wire::recording_mode::block);
  ASSERT_EQ(session.run([] {
    start();
    for (std::uint64_t i = 0; i < 50; ++i) {
      std::thread([i] {
        tell_pairs(i * 100, 10);
        end_thread_recording();
        tell_pairs(i * 100 + 50, 1);  // a destructor of its locals, say
      }).join();
    }
    finish();
  }),
            0);
  const seen_tape tape(tape_of(session, session.last_child));
  EXPECT_EQ(tape.header().ring_count, 2u);  // theirs, and the one that ended threads share
  EXPECT_EQ(tape.count(tape_kind::allocation), 50u * 11);
  std::map<std::uint64_t, std::uint64_t> by_thread;
  for (const auto& one : tape.all) {
    if (one.record.kind != tape_kind::allocation) continue;
    const std::uint64_t of_thread = (one.record.address - 0x10000000) / 64 / 100;
    const auto [place, is_new] = by_thread.emplace(of_thread, one.thread_id);
    EXPECT_EQ(place->second, one.thread_id) << "from ring " << one.ring;
  }
  EXPECT_EQ(by_thread.size(), 50u);
}

TEST(recorder, gives_a_forked_child_a_tape_of_its_own) {
  testing::session session;
  wish_for(session, wire::recording_mode::block);
  ASSERT_EQ(session.run([] {
    start();
    tell_pairs(1, 10);
    before_fork();
    const pid_t child = fork();
    if (child == 0) {
      after_fork_in_child();
      tell_pairs(100, 7);
      finish();
      _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
    // One that asks nobody: the parent's tape must not know of it.
    const auto silent = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (silent == 0) {
      tell_pairs(500, 20);
      _exit(0);
    }
    if (waitpid(silent, &status, 0) != silent || status != 0) _exit(2);
    tell_pairs(1000, 3);
    finish();
  }),
            0);
  std::vector<std::size_t> counts;
  for (const auto& entry : std::filesystem::directory_iterator(session.folder)) {
    if (entry.path().extension() != ".tape") continue;
    const seen_tape tape(entry.path());
    counts.push_back(tape.count(tape_kind::allocation));
    EXPECT_EQ(tape.count(tape_kind::allocation), tape.count(tape_kind::free));
  }
  std::sort(counts.begin(), counts.end());
  EXPECT_EQ(counts, (std::vector<std::size_t>{7, 13}));
}

TEST(recorder, waits_for_a_reader_and_loses_nothing) {
  testing::session session;
  wish_for(session, wire::recording_mode::block);
  constexpr std::uint64_t pairs = 300'000;
  const pid_t program = fork();
  if (program == 0) {
    setenv("TENURE_SESSION", session.folder.c_str(), 1);
    start();
    tell_pairs(1, pairs);
    finish();
    _exit(0);
  }
  while (!is_made(tape_of(session, program))) usleep(1000);
  std::uint64_t allocations = 0, frees = 0, lost = 0;
  for (bool is_over = false;;) {
    const seen_tape tape(tape_of(session, program));
    auto& header = const_cast<wire::tape_header&>(tape.header());
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    __atomic_store_n(&header.reader_ns,
                     static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec),
                     __ATOMIC_RELAXED);
    allocations += tape.count(tape_kind::allocation);
    frees += tape.count(tape_kind::free);
    lost = tape.lost_allocations + tape.lost_frees;
    if (is_over) break;
    int status = 0;
    is_over = waitpid(program, &status, WNOHANG) == program;
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(lost, 0u);
  EXPECT_EQ(allocations, pairs);
  EXPECT_EQ(frees, pairs);
}

}  // namespace
}  // namespace tenure::telemetry
