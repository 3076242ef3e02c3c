// Pages that are compressed and come back: against a copy of what was written, with threads that touch at once, forks,
// and pages that do not compress; the kernel's own figure of the memory that is taken.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tenure/compressed.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

class Compressed : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* const why = compressed::why_not()) GTEST_SKIP() << why;
  }
  // Only what is asked for is compressed.
  static compressed_options quiet(std::size_t limit_bytes = 64 * mebibyte) {
    return {
        .name = "tested", .limit_bytes = limit_bytes, .cold_after = milliseconds(0), .checks = resource_checks::off};
  }
  // Text-like: a page takes about a fifth.
  static void fill(char* at, std::size_t bytes, std::uint64_t seed) {
    std::memset(at, 0, bytes);
    for (std::size_t i = 0; i < bytes; i += 16) {
      std::snprintf(at + i, 16, "%07llu value", static_cast<unsigned long long>((seed * 31 + i / 256) % 10'000'000));
    }
  }
  static bool is_filled(const char* at, std::size_t bytes, std::uint64_t seed) {
    std::vector<char> expected(bytes);
    fill(expected.data(), bytes, seed);
    return std::memcmp(at, expected.data(), bytes) == 0;
  }
};

TEST_F(Compressed, BringsBackWhatWasWritten) {
  compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(8 * mebibyte));
  fill(block, 8 * mebibyte, 1);
  EXPECT_EQ(memory.statistics().held_bytes, 8 * mebibyte);
  EXPECT_EQ(memory.compress_cold(), 0u);  // watched from now on
  EXPECT_GT(memory.compress_cold(), 4 * mebibyte);
  const compressed_statistics now = memory.compression();
  EXPECT_EQ(now.resident_bytes, 0u);
  EXPECT_EQ(now.compressed_bytes, 8 * mebibyte);
  EXPECT_EQ(now.compressions, 8 * mebibyte / page());
  EXPECT_GT(now.ratio(), 2.0);
  EXPECT_EQ(memory.statistics().held_bytes, now.store_bytes);
  memory.check();
  EXPECT_TRUE(is_filled(block, 8 * mebibyte, 1));
  const compressed_statistics after = memory.compression();
  EXPECT_EQ(after.compressed_faults, 8 * mebibyte / page());
  EXPECT_EQ(after.decompression.count(), after.compressed_faults);
  EXPECT_EQ(after.resident_bytes, 8 * mebibyte);
  EXPECT_EQ(after.store_bytes, 0u);
  memory.look();
  EXPECT_EQ(memory.statistics().held_bytes, 8 * mebibyte);
  memory.deallocate(block, 8 * mebibyte);
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  EXPECT_EQ(memory.compression().resident_bytes, 0u);
  memory.check();
}

// What the kernel says that the file takes in memory, and of the process as a whole.
std::size_t file_bytes() {
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    struct stat status {};
    if (std::filesystem::read_symlink(one.path(), gone).string().find("tenure compressed") == std::string::npos)
      continue;
    if (::stat(one.path().c_str(), &status) == 0) return static_cast<std::size_t>(status.st_blocks) * 512;
  }
  return SIZE_MAX;
}

std::size_t process_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * page();
}

TEST_F(Compressed, TakesLessOfTheSystem) {
  compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(8 * mebibyte));
  fill(block, 8 * mebibyte, 1);
  EXPECT_EQ(file_bytes(), 8 * mebibyte);
  const std::size_t before = process_bytes();
  memory.compress_cold();
  const std::size_t saved = memory.compress_cold();
  EXPECT_EQ(file_bytes(), 0u);
  EXPECT_GT(saved, 4 * mebibyte);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which take more with every access
  EXPECT_LT(process_bytes(), before - saved / 2);
#else
  static_cast<void>(before);
#endif
}

TEST_F(Compressed, LeavesWhatIsTouched) {
  compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(100 * page()));
  fill(block, 100 * page(), 2);
  for (int turn = 0; turn < 5; ++turn) {
    memory.compress_cold();
    for (std::size_t i = 0; i < 10; ++i) block[i * page()] = '0';
  }
  const compressed_statistics now = memory.compression();
  EXPECT_EQ(now.resident_bytes, 10 * page());
  EXPECT_EQ(now.compressed_bytes, 90 * page());
  EXPECT_EQ(now.compressed_faults, 0u);
  EXPECT_EQ(now.watched_faults, 50u);
  EXPECT_EQ(now.new_faults, 100u);
  memory.check();
}

TEST_F(Compressed, KeepsWhatDoesNotCompressAndNothingOfZeros) {
  compressed memory(quiet());
  auto* const noise = static_cast<char*>(memory.allocate(50 * page()));
  auto* const zeros = static_cast<char*>(memory.allocate(50 * page()));
  std::mt19937_64 dice(5);
  for (std::size_t i = 0; i < 50 * page(); i += 8) {
    const std::uint64_t drawn = dice();
    std::memcpy(noise + i, &drawn, 8);
  }
  const std::string copy(noise, 50 * page());
  std::memset(zeros, 0, 50 * page());
  memory.compress_cold();
  memory.compress_cold();
  compressed_statistics now = memory.compression();
  EXPECT_EQ(now.incompressible_bytes, 50 * page());
  EXPECT_EQ(now.refused_compressions, 50u);
  EXPECT_EQ(now.resident_bytes, 0u);
  EXPECT_EQ(now.store_bytes, 0u);
  EXPECT_EQ(memory.look(), 50 * page());
  EXPECT_EQ(std::memcmp(noise, copy.data(), copy.size()), 0);
  EXPECT_EQ(zeros[49 * page() + 7], 0);
  // They are tried again when they have rested, and may have become compressible.
  fill(noise, 50 * page(), 3);
  for (int turn = 0; turn < 12; ++turn) memory.compress_cold();
  now = memory.compression();
  EXPECT_EQ(now.incompressible_bytes, 0u);
  EXPECT_GT(now.compressed_bytes, 49 * page());
  EXPECT_TRUE(is_filled(noise, 50 * page(), 3));
  memory.check();
}

TEST_F(Compressed, StaysWithinItsBoundWhateverTheLoad) {
  compressed_options options = quiet();
  options.most_resident_bytes = 64 * page();
  compressed memory(options);
  constexpr std::size_t pages = 1000;
  auto* const block = static_cast<char*>(memory.allocate(pages * page()));
  for (std::size_t i = 0; i < pages; ++i) {
    fill(block + i * page(), page(), i);
    ASSERT_LE(memory.compression().resident_bytes, 64 * page());
  }
  std::mt19937_64 dice(9);
  for (int step = 0; step < 3000; ++step) {
    const std::size_t i = dice() % pages;
    ASSERT_TRUE(is_filled(block + i * page(), page(), i)) << i;
  }
  const compressed_statistics now = memory.compression();
  EXPECT_LE(now.resident_bytes, 64 * page());
  EXPECT_GT(now.compressed_faults, 1000u);
  memory.check();
}

// Threads write to pages of their own and read those of others, while the pages come and go all the time.
TEST_F(Compressed, IsRightForManyThreads) {
  compressed_options options = quiet();
  options.most_resident_bytes = 16 * page();
  options.cold_after = milliseconds(1);
  compressed memory(options);
  constexpr unsigned threads = 4;
  constexpr std::size_t pages = 24;  // so that many are written to just when they are about to go
  constexpr int additions = 20'000;
  auto* const counters = static_cast<std::atomic<std::uint64_t>*>(memory.allocate(pages * page()));
  const std::size_t step = page() / sizeof(std::atomic<std::uint64_t>);
  std::vector<std::thread> all;
  for (unsigned number = 0; number < threads; ++number) {
    all.emplace_back([&, number] {
      std::mt19937_64 dice(number);
      for (int i = 0; i < additions; ++i) {
        const std::size_t at = dice() % pages;
        counters[at * step + number].fetch_add(1);   // on a page that all write to
        counters[at * step + threads].fetch_add(1);  // one word for all
      }
    });
  }
  for (int turn = 0; turn < 20; ++turn) memory.compress_cold();
  for (std::thread& one : all) one.join();
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < pages; ++at) {
    std::uint64_t of_page = 0;
    for (unsigned number = 0; number < threads; ++number) of_page += counters[at * step + number];
    EXPECT_EQ(of_page, counters[at * step + threads]);
    sum += of_page;
  }
  EXPECT_EQ(sum, static_cast<std::uint64_t>(threads) * additions);
  memory.check();
}

TEST_F(Compressed, CompressesByItselfWhatNobodyTouches) {
  compressed_options options = quiet();
  options.cold_after = milliseconds(5);
  compressed memory(options);
  auto* const block = static_cast<char*>(memory.allocate(100 * page()));
  fill(block, 100 * page(), 4);
  for (int i = 0; i < 2000 && memory.compression().resident_bytes != 0; ++i)
    std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(memory.compression().compressed_bytes, 100 * page());
  EXPECT_TRUE(is_filled(block, 100 * page(), 4));
}

TEST_F(Compressed, ServesSystemCalls) {
  compressed memory(quiet());
  if (!memory.serves_system_calls()) GTEST_SKIP() << "userfaultfd serves the process's own accesses alone here";
  auto* const block = static_cast<char*>(memory.allocate(4 * page()));
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::read(zero, block, 4 * page()), static_cast<ssize_t>(4 * page()));
  ::close(zero);
  fill(block, 4 * page(), 5);
  memory.compress_cold();
  memory.compress_cold();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], block, 4 * page()), static_cast<ssize_t>(4 * page()));
  std::vector<char> read(4 * page());
  ASSERT_EQ(::read(ends[0], read.data(), read.size()), static_cast<ssize_t>(read.size()));
  EXPECT_TRUE(is_filled(read.data(), read.size(), 5));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Compressed, TouchesARange) {
  compressed memory(quiet());
  auto* const block = static_cast<char*>(memory.allocate(20 * page()));
  fill(block, 20 * page(), 6);
  memory.compress_cold();
  memory.compress_cold();
  memory.touch(block + page() + 7, 3 * page());
  EXPECT_EQ(memory.compression().resident_bytes, 4 * page());
}

TEST_F(Compressed, IsNotThereInAChild) {
  auto memory = std::make_unique<compressed>(quiet());
  auto* const block = static_cast<char*>(memory->allocate(20 * page()));
  fill(block, 20 * page(), 7);
  memory->compress_cold();
  memory->compress_cold();
  const pid_t child = ::fork();
  if (child == 0) {
    memory->deallocate(block, 20 * page());
    int result = 1;
    try {
      static_cast<void>(memory->allocate(100));
    } catch (const std::bad_alloc&) {
      result = 0;
    }
    memory.reset();
    ::_exit(result);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(is_filled(block, 20 * page(), 7));
  memory->check();
}

TEST_F(Compressed, LetsAsMuchMoreInAsItHasSaved) {
  compressed memory(quiet());
  memory.set_limits({.hard_bytes = 4 * mebibyte});
  std::vector<char*> blocks;
  std::uint64_t number = 0;
  EXPECT_THROW(
      for (;;) {
        blocks.push_back(static_cast<char*>(memory.allocate(mebibyte)));
        fill(blocks.back(), mebibyte, number++);
        ASSERT_LE(memory.statistics().held_bytes, 4 * mebibyte);
      },
      std::bad_alloc);
  EXPECT_EQ(blocks.size(), 4u);
  memory.compress_cold();
  memory.compress_cold();
  EXPECT_LT(memory.statistics().held_bytes, 2 * mebibyte);
  blocks.push_back(static_cast<char*>(memory.allocate(mebibyte)));
  fill(blocks.back(), mebibyte, number++);
  for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_TRUE(is_filled(blocks[i], mebibyte, i));
  for (char* one : blocks) memory.deallocate(one, mebibyte);
  memory.look();
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  memory.check();
}

TEST_F(Compressed, RefusesWhatCannotBe) {
  EXPECT_THROW(compressed({.limit_bytes = 100}), std::invalid_argument);
  EXPECT_THROW(compressed({.most_resident_bytes = 4096}), std::invalid_argument);
}

// A child of fork() has no blocks, so the death happens in a process that is started for it.
TEST_F(Compressed, EndsMisuseInAMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  compressed_options options = quiet(4 * mebibyte);
  options.name = "sessions";
  options.checks = resource_checks::on;
  compressed memory(options);
  void* block = memory.allocate(5000);
  int elsewhere = 0;
  EXPECT_DEATH(memory.deallocate(&elsewhere, 5000), "has not handed out: 0x.*compressed \"sessions\"");
  EXPECT_DEATH(memory.deallocate(block, 50'000), "is not this block's: 0x.*compressed \"sessions\"(.|\n)*allocated\n");
  memory.deallocate(block, 5000);
  EXPECT_DEATH(memory.deallocate(block, 5000),
               "double release: 0x.*compressed \"sessions\"(.|\n)*allocated\n(.|\n)*released first\n");
}

}  // namespace
}  // namespace tenure
