// Memory in a file: how the file grows and is cut, by the kernel's figures; that contents survive leaving memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tenure/mapped_file.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "unit/resource/resource_support.h"

namespace {

// What the kernel says to the next calls, before it does as it is told.
int interruptions = 0;
int failing_cuts = 0;

bool is_interrupted() { return interruptions != 0 && interruptions-- > 0; }

}  // namespace

extern "C" int posix_fallocate(int file, off_t begin, off_t bytes) {
  if (is_interrupted()) return EINTR;
  return ::posix_fallocate64(file, begin, bytes);
}

extern "C" int ftruncate(int file, off_t bytes) noexcept {
  if (is_interrupted()) return errno = EINTR, -1;
  if (failing_cuts != 0 && failing_cuts-- > 0) return errno = EIO, -1;
  return ::ftruncate64(file, bytes);
}

namespace tenure {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// The length of the mapping of a file at an address, as /proc/self/maps tells it.
std::size_t mapped_length(const void* address) {
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return 0;
  std::size_t length = 0;
  char line[1024];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long begin = 0, end = 0;
    char rights[8] = {};
    if (std::sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3) continue;
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    if (at >= begin && at < end && rights[3] == 's') length = end - begin;
  }
  std::fclose(maps);
  return length;
}

TEST(MappedFile, GrowsWithItsBlocksAndIsCutBehindTheLast) {
  mapped_file memory({.name = "tested", .limit_bytes = 64 * mebibyte, .grow_bytes = mebibyte});
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  void* first = memory.allocate(4096);
  EXPECT_EQ(memory.statistics().held_bytes, mebibyte);
  EXPECT_EQ(mapped_length(first), mebibyte);
  void* large = memory.allocate(8 * mebibyte);
  const std::size_t held = memory.statistics().held_bytes;
  EXPECT_GE(held, 9 * mebibyte);
  EXPECT_EQ(held % mebibyte, 0u);
  memory.check();
  std::memset(first, 5, 4096);
  memory.deallocate(large, 8 * mebibyte);
  EXPECT_EQ(memory.trim(), held - mebibyte);
  EXPECT_EQ(memory.statistics().held_bytes, mebibyte);
  EXPECT_EQ(mapped_length(first), mebibyte);
  EXPECT_EQ(static_cast<unsigned char*>(first)[4095], 5);
  memory.deallocate(first, 4096);
  EXPECT_EQ(memory.trim(), mebibyte);
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  memory.check();
}

TEST(MappedFile, KeepsContentsThatLeaveMemory) {
  mapped_file memory({.name = "tested", .limit_bytes = 64 * mebibyte});
  std::vector<testing::filled_block> blocks;
  for (unsigned char i = 0; i < 16; ++i) blocks.push_back(testing::filled_block::make(memory, mebibyte, 4096, i));
  EXPECT_GT(memory.resident_bytes(), 0u);  // all of it, where nobody else needs the memory
  memory.sync();
  EXPECT_TRUE(memory.cool());
  EXPECT_TRUE(memory.page_out());  // as far as the kernel can
  EXPECT_LE(memory.resident_bytes(), 16 * mebibyte);
  for (const auto& one : blocks) EXPECT_TRUE(one.is_intact());
}

TEST(MappedFile, LeavesNothingInItsFolder) {
  char folder[] = "/tmp/tenure-mapped-file-test.XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  {
    mapped_file memory({.name = "tested", .folder = folder, .limit_bytes = 4 * mebibyte});
    static_cast<void>(testing::filled_block::make(memory, 10'000, 8, 1));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
  EXPECT_THROW(mapped_file({.folder = folder}), std::system_error);
  EXPECT_THROW(mapped_file({.folder = nullptr}), std::invalid_argument);
}

TEST(MappedFile, EndsAtItsLimit) {
  mapped_file memory({.name = "tested", .limit_bytes = 4 * mebibyte});
  std::vector<void*> blocks;
  EXPECT_THROW(for (;;) blocks.push_back(memory.allocate(mebibyte)), std::bad_alloc);
  EXPECT_EQ(blocks.size(), 4u);
  for (void* one : blocks) memory.deallocate(one, mebibyte);
  memory.set_limits({.hard_bytes = 2 * mebibyte});
  memory.trim();
  static_cast<void>(memory.allocate(2 * mebibyte));
  EXPECT_THROW(static_cast<void>(memory.allocate(mebibyte)), std::bad_alloc);
  EXPECT_EQ(memory.statistics().held_bytes, 2 * mebibyte);
  memory.check();
  EXPECT_THROW(mapped_file({.limit_bytes = 3 * mebibyte}), std::invalid_argument);
  EXPECT_THROW(mapped_file({.limit_bytes = mebibyte, .grow_bytes = 2 * mebibyte}), std::invalid_argument);
}

// Its account counts bytes only: the file is one, however often it grows or is cut.
TEST(MappedFile, HoldsNoBlocksOfItsAccount) {
  mapped_file memory({.name = "tested", .limit_bytes = 64 * mebibyte});
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(memory.allocate(mebibyte));
  for (void* one : blocks) memory.deallocate(one, mebibyte);
  EXPECT_EQ(memory.trim(), 4 * mebibyte);
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_NE(tenure_account_statistics(memory.account(), &figures), 0);
  EXPECT_EQ(figures.held_bytes, 0u);
  EXPECT_EQ(figures.held_blocks, 0u);
}

TEST(MappedFile, UsesWhatIsFreeOfItsFileBeforeItGrows) {
  mapped_file memory({.name = "tested", .limit_bytes = 8 * mebibyte});
  memory.set_limits({.hard_bytes = 5 * mebibyte});
  void* large = memory.allocate(4 * mebibyte);
  static_cast<void>(memory.allocate(mebibyte));
  memory.deallocate(large, 4 * mebibyte);
  EXPECT_EQ(memory.allocate(mebibyte), large);
  EXPECT_EQ(memory.statistics().held_bytes, 5 * mebibyte);
}

TEST(MappedFile, CountsNoRequestThatItRefuses) {
  mapped_file memory({.name = "refused requests", .limit_bytes = 8 * mebibyte, .checks = resource_checks::off});
  memory.set_limits({.hard_bytes = mebibyte});
  static_cast<void>(memory.allocate(4096));
  const resource_statistics before = memory.statistics();
  EXPECT_THROW(static_cast<void>(memory.allocate(2 * mebibyte)), std::bad_alloc);
  const resource_statistics after = memory.statistics();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.peak_used_bytes, before.peak_used_bytes);
  EXPECT_EQ(after.used_blocks, 1u);
  EXPECT_EQ(after.refusals, before.refusals + 1);
  memory.check();
}

TEST(MappedFile, MayBeTrimmedByAShrinkerWhileItGrows) {
  struct trimmed {
    mapped_file memory{{.name = "tested", .limit_bytes = 8 * mebibyte}};
    int trims = 0;
  } all;
  all.memory.set_limits({.hard_bytes = 3 * mebibyte});
  const tenure_shrinker registered = tenure_shrinker_register(
      all.memory.account(), 0,
      [](void* of, const tenure_pressure*) -> std::uint64_t {
        auto* const asked = static_cast<trimmed*>(of);
        ++asked->trims;
        return asked->memory.trim();
      },
      &all);
  ASSERT_NE(registered, 0u);
  void* block = all.memory.allocate(4096);
  EXPECT_THROW(static_cast<void>(all.memory.allocate(2 * mebibyte)), std::bad_alloc);  // at 2 MiB, so it takes 3
  EXPECT_GT(all.trims, 0);
  EXPECT_EQ(mapped_length(block), mebibyte);
  all.memory.check();
  tenure_shrinker_unregister(registered);
}

TEST(MappedFile, GoesOnAfterAnInterruption) {
  mapped_file memory({.name = "tested", .limit_bytes = 8 * mebibyte});
  interruptions = 3;
  void* block = memory.allocate(mebibyte);
  EXPECT_EQ(interruptions, 0);
  memory.deallocate(block, mebibyte);
  interruptions = 3;
  EXPECT_EQ(memory.trim(), mebibyte);
  EXPECT_EQ(interruptions, 0);
  memory.check();
}

TEST(MappedFile, KeepsWhatTheKernelDoesNotCut) {
  mapped_file memory({.name = "tested", .limit_bytes = 8 * mebibyte});
  void* block = memory.allocate(mebibyte);
  memory.deallocate(block, mebibyte);
  failing_cuts = 1;
  EXPECT_EQ(memory.trim(), 0u);
  EXPECT_EQ(memory.statistics().held_bytes, mebibyte);
  const auto again = testing::filled_block::make(memory, mebibyte, 4096, 7);
  EXPECT_TRUE(again.is_intact());
  memory.check();
}

TEST(MappedFile, RefusesBeyondTheLimitForFiles) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{2 * mebibyte, 2 * mebibyte};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    mapped_file memory({.name = "tested", .limit_bytes = 8 * mebibyte});
    try {
      static_cast<void>(memory.allocate(4 * mebibyte));
      ::_exit(3);
    } catch (const std::bad_alloc&) {
    }
    const auto block = testing::filled_block::make(memory, 2 * mebibyte, 4096, 1);
    ::_exit(block.is_intact() ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(MappedFile, EndsMisuseInAMessage) {
  mapped_file memory({.name = "runs", .limit_bytes = 4 * mebibyte, .checks = resource_checks::on});
  void* block = memory.allocate(5000);
  int elsewhere = 0;
  EXPECT_DEATH(memory.deallocate(&elsewhere, 5000), "has not handed out: 0x.*mapped_file \"runs\"");
  EXPECT_DEATH(memory.deallocate(block, 50'000), "is not this block's: 0x.*mapped_file \"runs\"(.|\n)*allocated\n");
  memory.deallocate(block, 5000);
  EXPECT_DEATH(memory.deallocate(block, 5000),
               "double release: 0x.*mapped_file \"runs\"(.|\n)*allocated\n(.|\n)*released first\n");
}

}  // namespace
}  // namespace tenure
