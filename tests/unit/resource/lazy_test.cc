// Blocks that are address space: what of them is resident, by the kernel's own figures; what the account says of it.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <tenure/lazy.hpp>

#include <cstdio>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "library/resource/resident_pages.h"
#include "support/sizes.h"
#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

constexpr std::size_t gibibyte = std::size_t{1} << 30;

std::size_t page() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

// Of the page of an address, as /proc/self/pagemap has it: bit 63.
bool is_resident(const void* address) {
  std::FILE* const pagemap = std::fopen("/proc/self/pagemap", "re");
  if (pagemap == nullptr) return false;
  std::uint64_t entry = 0;
  const auto at = static_cast<long>(reinterpret_cast<std::uintptr_t>(address) / page() * sizeof entry);
  const bool is_read = std::fseek(pagemap, at, SEEK_SET) == 0 && std::fread(&entry, sizeof entry, 1, pagemap) == 1;
  std::fclose(pagemap);
  return is_read && entry >> 63 != 0;
}

// ThreadSanitizer leaves a program three ranges of addresses, and not always a terabyte in one piece.
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t vast_bytes = 32 * gibibyte;
#else
constexpr std::size_t vast_bytes = 512 * gibibyte;
#endif

TEST(Lazy, CostsWhatIsTouched) {
  lazy memory({.name = "tested", .limit_bytes = 2 * vast_bytes});
  auto* const block = static_cast<char*>(memory.allocate(vast_bytes));
  EXPECT_EQ(memory.look(), 0u);
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  std::set<std::size_t> touched;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::size_t at = i * 0x9e3779b97f4a7c15u % vast_bytes;
    block[at] = 1;
    touched.insert(at / page());
  }
  EXPECT_EQ(memory.look(), touched.size() * page());
  EXPECT_EQ(memory.statistics().held_bytes, touched.size() * page());
  EXPECT_EQ(memory.statistics().used_bytes, touched.size() * page());
  EXPECT_EQ(memory.reserved_bytes(), vast_bytes);
  std::set<std::size_t> told;
  memory.for_each_resident(block, [&](const live_block& one) {
    const auto begin = static_cast<std::size_t>(static_cast<const char*>(one.address) - block);
    for (std::size_t at = begin; at < begin + one.bytes; at += page()) told.insert(at / page());
  });
  EXPECT_EQ(told, touched);
  for (const std::size_t one : touched) ASSERT_TRUE(is_resident(block + one * page()));
  memory.check();
  memory.deallocate(block, vast_bytes);
  EXPECT_EQ(memory.statistics().held_bytes, 0u);
  EXPECT_EQ(memory.reserved_bytes(), 0u);
  memory.check();
}

TEST(Lazy, ReadsZerosAfterADiscard) {
  lazy memory({.name = "tested"});
  auto* const block = static_cast<char*>(memory.allocate(64 * mebibyte));
  std::memset(block, 7, 16 * mebibyte);
  memory.look();
  EXPECT_EQ(memory.statistics().held_bytes, 16 * mebibyte);
  // Only whole pages: its ends keep what others on their pages have.
  EXPECT_EQ(memory.discard(block + 100, 4 * mebibyte), 4 * mebibyte - page());
  EXPECT_EQ(block[page() - 1], 7);
  EXPECT_FALSE(is_resident(block + page()));
  EXPECT_EQ(memory.statistics().held_bytes, 12 * mebibyte + page());
  EXPECT_EQ(block[page()], 0);
  EXPECT_EQ(block[4 * mebibyte - 1], 0);
  EXPECT_EQ(block[4 * mebibyte], 7);
  EXPECT_EQ(memory.discard(block + 10, 20), 0u);
  memory.check();
}

TEST(Lazy, IsZeroAgainWhenItIsTakenAgain) {
  lazy memory({.name = "tested", .limit_bytes = mebibyte});
  for (int round = 0; round < 3; ++round) {
    auto* const block = static_cast<char*>(memory.allocate(mebibyte));
    for (std::size_t at = 0; at < mebibyte; at += page()) ASSERT_EQ(block[at], 0);
    std::memset(block, 1, mebibyte);
    memory.deallocate(block, mebibyte);
    EXPECT_EQ(testing::flags_of(block).find("wr"), std::string::npos);
  }
}

TEST(Lazy, CommitsBeforeItIsTouched) {
  lazy memory({.name = "tested"});
  memory.set_limits({.hard_bytes = 3 * mebibyte});
  auto* const block = static_cast<char*>(memory.allocate(gibibyte));
  block[10 * mebibyte] = 5;
  memory.commit(block, 2 * mebibyte);
  EXPECT_TRUE(is_resident(block + mebibyte));
  EXPECT_EQ(memory.statistics().held_bytes, 2 * mebibyte + page());
  EXPECT_THROW(memory.commit(block + 20 * mebibyte, mebibyte), std::bad_alloc);
  EXPECT_FALSE(is_resident(block + 20 * mebibyte));
  EXPECT_EQ(memory.statistics().held_bytes, 2 * mebibyte + page());
  memory.commit(block, 2 * mebibyte);  // nothing new
  EXPECT_EQ(memory.statistics().held_bytes, 2 * mebibyte + page());
  EXPECT_EQ(block[10 * mebibyte], 5);
  // What is touched all the same is found; the account ends at the limit, and requests are refused.
  std::memset(block + 30 * mebibyte, 1, 8 * mebibyte);
  EXPECT_EQ(memory.look(), 10 * mebibyte + page());
  EXPECT_LE(memory.statistics().held_bytes, 3 * mebibyte);
  EXPECT_GE(memory.statistics().refusals, 2u);
  memory.discard(block + 30 * mebibyte, 8 * mebibyte);
  EXPECT_EQ(memory.look(), 2 * mebibyte + page());
  EXPECT_EQ(memory.statistics().held_bytes, 2 * mebibyte + page());
  memory.check();
}

TEST(Lazy, TakesNoReadForATouch) {
  lazy memory({.name = "tested"});
  auto* const block = static_cast<volatile char*>(memory.allocate(64 * mebibyte));
  int sum = 0;
  for (std::size_t at = 0; at < 64 * mebibyte; at += page()) sum += block[at];
  EXPECT_EQ(sum, 0);
  const std::size_t resident = memory.look();
  // Without PAGEMAP_SCAN the kernel's page of zeros cannot be told from others.
  EXPECT_TRUE(resident == 0 || resident == 64 * mebibyte);
}

TEST(Lazy, SeesTheSameInBothWays) {
  const std::size_t bytes = 80 * mebibyte;
  auto* const memory = static_cast<char*>(
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  ::madvise(memory, bytes, MADV_NOHUGEPAGE);
  std::set<std::uintptr_t> touched;
  for (std::size_t i = 0; i < 500; ++i) {
    char* const at = memory + i * i * 317 % bytes / page() * page();
    *at = 1;
    touched.insert(reinterpret_cast<std::uintptr_t>(at));
  }
  memory[0] = memory[bytes - 1] = 1;
  touched.insert(reinterpret_cast<std::uintptr_t>(memory));
  touched.insert(reinterpret_cast<std::uintptr_t>(memory + bytes - page()));
  for (const auto way : {resources::visit_resident, resources::visit_resident_by_mincore}) {
    std::set<std::uintptr_t> told;
    const std::size_t sum = way(
        reinterpret_cast<std::uintptr_t>(memory), bytes,
        [](void* all, std::uintptr_t begin, std::size_t length) {
          for (std::size_t at = 0; at < length; at += page())
            static_cast<std::set<std::uintptr_t>*>(all)->insert(begin + at);
        },
        &told);
    EXPECT_EQ(told, touched);
    EXPECT_EQ(sum, touched.size() * page());
  }
  ::munmap(memory, bytes);
}

TEST(Lazy, JoinsWhatIsFreeAgain) {
  lazy memory({.name = "tested", .limit_bytes = 256 * mebibyte});
  std::vector<void*> blocks;
  for (int i = 0; i < 256; ++i) blocks.push_back(memory.allocate(mebibyte));
  EXPECT_THROW(static_cast<void>(memory.allocate(1)), std::bad_alloc);
  for (std::size_t i = 0; i < 256; i += 2) memory.deallocate(blocks[i], mebibyte);
  EXPECT_THROW(static_cast<void>(memory.allocate(2 * mebibyte)), std::bad_alloc);
  memory.check();
  for (std::size_t i = 255; i < 256; i -= 2) memory.deallocate(blocks[i], mebibyte);
  void* const whole = memory.allocate(256 * mebibyte);
  memory.deallocate(whole, 256 * mebibyte);
  void* const aligned = memory.allocate(page(), 64 * mebibyte);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % (64 * mebibyte), 0u);
  memory.check();
}

TEST(Lazy, RefusesWhatCannotBe) {
  EXPECT_THROW(lazy({.limit_bytes = 100}), std::invalid_argument);
  EXPECT_THROW(lazy({.limit_bytes = 0}), std::invalid_argument);
  EXPECT_THROW(lazy({.limit_bytes = std::size_t{1} << 61}), std::system_error);
}

TEST(Lazy, EndsMisuseInAMessage) {
  lazy memory({.name = "by id", .checks = resource_checks::on});
  auto* const block = static_cast<char*>(memory.allocate(5000));
  int elsewhere = 0;
  EXPECT_DEATH(memory.deallocate(&elsewhere, 5000), "has not handed out: 0x.*lazy \"by id\"");
  EXPECT_DEATH(memory.deallocate(block, 50'000), "is not this block's: 0x.*lazy \"by id\"(.|\n)*allocated\n");
  EXPECT_DEATH(memory.discard(block, mebibyte), "not within one block: 0x.*lazy \"by id\"(.|\n)*here\n");
  EXPECT_DEATH(memory.commit(&elsewhere, 1), "not within one block: 0x.*lazy \"by id\"");
  memory.deallocate(block, 5000);
  EXPECT_DEATH(memory.deallocate(block, 5000),
               "double release: 0x.*lazy \"by id\"(.|\n)*allocated\n(.|\n)*released first\n");
  EXPECT_DEATH(block[0] = 1, "");
}

}  // namespace
}  // namespace tenure
