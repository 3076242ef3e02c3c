// Huge pages: where blocks lie, what the kernel backs them with, what goes back.
#include <gtest/gtest.h>
#include <unistd.h>
#include <tenure/arena.hpp>
#include <tenure/huge_page.hpp>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "support/sizes.h"
#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

bool kernel_knows_huge_pages() { return ::access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0; }

// "[always] madvise never"
bool kernel_has_huge_pages() {
  std::FILE* const file = std::fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
  if (file == nullptr) return false;
  char text[64] = {};
  const bool is_read = std::fgets(text, sizeof text, file) != nullptr;
  std::fclose(file);
  return is_read && std::strstr(text, "[never]") == nullptr;
}

TEST(HugePage, TakesRegionsAndGivesBackEmptyOnes) {
  huge_page pages({.name = "tested", .region_bytes = 4 * mebibyte});
  void* small = pages.allocate(5000);
  EXPECT_EQ(pages.statistics().held_bytes, 4 * mebibyte);
  EXPECT_EQ(pages.statistics().used_bytes, 8192u);
  void* large = pages.allocate(5 * mebibyte);
  EXPECT_EQ(pages.statistics().held_bytes, 12 * mebibyte);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large) % huge_page::page_bytes, 0u);
  EXPECT_EQ(pages.trim(), 0u);
  pages.deallocate(large, 5 * mebibyte);
  EXPECT_EQ(pages.trim(), 8 * mebibyte);
  pages.check();
  pages.deallocate(small, 5000);
  EXPECT_EQ(pages.trim(), 4 * mebibyte);
  EXPECT_EQ(pages.statistics().held_bytes, 0u);
}

TEST(HugePage, StaysWithinItsLimitInWholeRegions) {
  huge_page pages({.name = "tested", .region_bytes = 2 * mebibyte});
  pages.set_limits({.hard_bytes = 5 * mebibyte});
  std::size_t blocks = 0;
  EXPECT_THROW(for (;; ++blocks) static_cast<void>(pages.allocate(mebibyte)), std::bad_alloc);
  EXPECT_EQ(blocks, 4u);
  EXPECT_EQ(pages.statistics().held_bytes, 4 * mebibyte);
  pages.check();
}

TEST(HugePage, IsBackedByHugePagesWhereTheKernelHasThem) {
  huge_page pages({.name = "tested", .region_bytes = 8 * mebibyte});
  EXPECT_EQ(pages.huge_bytes(), 0u);
  void* block = pages.allocate(8 * mebibyte);
  std::memset(block, 1, 8 * mebibyte);
  if (kernel_knows_huge_pages()) {
    const std::string flags = testing::flags_of(block);
    EXPECT_NE(flags.find(" hg"), std::string::npos) << flags;
  }
  const std::size_t huge = pages.huge_bytes();
  EXPECT_EQ(huge % huge_page::page_bytes, 0u);
  EXPECT_LE(huge, 8 * mebibyte);
  if (!kernel_has_huge_pages()) {
    EXPECT_EQ(huge, 0u);
  } else if (huge == 0) {
    GTEST_SKIP() << "the kernel had no huge page free";
  }
}

TEST(HugePage, ServesAnArena) {
  huge_page pages({.name = "pages"});
  {
    arena memory({.name = "nodes", .first_chunk_bytes = mebibyte, .checks = resource_checks::off, .upstream = &pages});
    std::vector<testing::filled_block> blocks;
    for (int i = 0; i < 10'000; ++i) blocks.push_back(testing::filled_block::make(memory, 200, 8, 7));
    for (const auto& one : blocks) ASSERT_TRUE(one.is_intact() && pages.owns(one.start));
  }
  EXPECT_EQ(pages.statistics().used_blocks, 0u);
}

TEST(HugePage, RefusesWhatItCannotServe) {
  EXPECT_THROW(huge_page({.region_bytes = 3 * mebibyte}), std::invalid_argument);
  EXPECT_THROW(huge_page({.region_bytes = mebibyte}), std::invalid_argument);
  EXPECT_THROW(huge_page({.smallest_bytes = 4 * mebibyte}), std::invalid_argument);
  huge_page pages;
  EXPECT_THROW(static_cast<void>(pages.allocate(16, 4 * mebibyte)), std::bad_alloc);
  EXPECT_EQ(pages.statistics().held_bytes, 0u);
}

TEST(HugePage, GivesReservedPagesOrNone) {
  huge_page pages({.name = "reserved", .pages = huge_page_kind::reserved, .region_bytes = 2 * mebibyte});
  try {
    void* block = pages.allocate(mebibyte);
    EXPECT_EQ(pages.huge_bytes(), 2 * mebibyte);  // before they are touched
    std::memset(block, 1, mebibyte);
    pages.deallocate(block, mebibyte);
  } catch (const std::bad_alloc&) {
    EXPECT_EQ(pages.statistics().held_bytes, 0u);  // none were set aside
  }
  pages.check();
}

TEST(HugePage, EndsMisuseInAMessage) {
  huge_page pages({.name = "index", .checks = resource_checks::on});
  void* block = pages.allocate(5000);
  int elsewhere = 0;
  EXPECT_DEATH(pages.deallocate(&elsewhere, 5000), "release of what it has not handed out: 0x.*huge_page \"index\"");
  EXPECT_DEATH(pages.deallocate(block, 50'000), "is not this block's: 0x.*huge_page \"index\"(.|\n)*allocated\n");
  pages.deallocate(block, 5000);
  EXPECT_DEATH(pages.deallocate(block, 5000),
               "double release: 0x.*huge_page \"index\"(.|\n)*allocated\n(.|\n)*released first\n");
}

}  // namespace
}  // namespace tenure
