// Huge pages: only where the memory is there anyway, and given up when it goes.
#include "core/pages/huge_pages.h"

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/options.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

constexpr std::uint32_t block_pages = (96u << 20) >> page_shift;
constexpr std::uint32_t region_pages = huge_page_bytes >> page_shift;
constexpr std::size_t block_bytes = std::size_t{block_pages} << page_shift;

// The kernel's own figure for this process, in KiB.
std::uint64_t rollup_kib(const std::string& field) {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string name;
  while (file >> name) {
    if (name == field + ":") {
      std::uint64_t kib = 0;
      file >> kib;
      return kib;
    }
  }
  return 0;
}

void* memory_of(const span* of) { return reinterpret_cast<void*>(page_address(of->first_page)); }

std::size_t look_often() {
  std::size_t rebuilt = 0;
  for (int look = 0; look < 20; ++look) rebuilt += tend_huge_pages();
  return rebuilt;
}

bool kernel_collapses() {
  span* probe = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(probe), 1, block_bytes);
  const bool any = look_often() != 0;
  release_span(probe, false);
  return_pages(0);
  return any;
}

class huge_pages_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_collapses()) GTEST_SKIP() << "the kernel has no MADV_COLLAPSE or no huge page to give";
  }
};

TEST_F(huge_pages_test, come_to_memory_that_is_resident_and_go_with_it) {
  span* dense = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(dense), 7, block_bytes);
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  const std::size_t rebuilt = look_often();
  EXPECT_GT(rebuilt, 0u);
  EXPECT_GE(rollup_kib("AnonHugePages") * 1024, rebuilt * huge_page_bytes);
  EXPECT_LE(rollup_kib("Rss"), resident_before_kib * 105 / 100);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, rebuilt * huge_page_bytes);
  for (std::size_t i = 0; i < block_bytes; i += 4096) ASSERT_EQ(static_cast<unsigned char*>(memory_of(dense))[i], 7);
  release_span(dense, false);
  return_pages(0);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  EXPECT_LE(rollup_kib("Rss") * 1024, resident_before_kib * 1024 - block_bytes / 2);
}

TEST_F(huge_pages_test, stay_away_from_memory_that_nobody_touched) {
  span* sparse = allocate_span(block_pages, 1, span_kind::large, true);
  for (std::size_t i = 0; i < block_bytes; i += 8192) static_cast<char*>(memory_of(sparse))[i] = 1;
  EXPECT_EQ(look_often(), 0u);
  release_span(sparse, false);
  return_pages(0);
}

TEST_F(huge_pages_test, stay_away_when_the_option_is_off) {
  ASSERT_TRUE(set_value(option::huge_pages, 0));
  span* dense = allocate_span(block_pages, 1, span_kind::large, true);
  std::memset(memory_of(dense), 7, block_bytes);
  EXPECT_EQ(look_often(), 0u);
  ASSERT_TRUE(set_value(option::huge_pages, 1));
  release_span(dense, false);
  return_pages(0);
}

// Small spans until one of them is cut from fresh memory, in a heap that is large enough.
std::vector<span*> grow_until_a_region_is_chosen(std::uint32_t most_spans) {
  std::vector<span*> grown;
  while (!has_chosen_region() && grown.size() < most_spans) {
    grown.push_back(allocate_span(region_pages, 1, span_kind::small, false));
  }
  return grown;
}

// As much as may have to be skipped, where the kernel has had no huge page at hand in the tests before.
constexpr std::uint32_t enough_spans = 2 * touch_pacing::most_skipped_bytes / huge_page_bytes;

void release_all(const std::vector<span*>& spans) {
  for (span* each : spans) release_span(each, false);
  return_pages(0);
}

void check_all() {
  lock_page_heap();
  check_page_heap();
  unlock_page_heap();
}

TEST_F(huge_pages_test, are_touched_ahead_of_a_large_heap_that_grows) {
  span* ballast = allocate_span(block_pages, 1, span_kind::large, true);  // makes it large; never touched
  const std::vector<span*> grown = grow_until_a_region_is_chosen(enough_spans);
  ASSERT_TRUE(has_chosen_region());
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  touch_chosen_region();
  EXPECT_FALSE(has_chosen_region());
  check_all();
  const std::uint64_t grew_kib = rollup_kib("Rss") - resident_before_kib;
  const std::uint64_t huge_bytes = telemetry::statistics().huge_page_bytes;
  ASSERT_TRUE(huge_bytes == huge_page_bytes || huge_bytes == 0);  // the kernel may have none
  if (huge_bytes != 0) {
    EXPECT_GE(grew_kib, 2000u);
  }
  // It is what the next spans are cut from, and it reads as zero.
  span* next = allocate_span(4, 1, span_kind::small, false);
  EXPECT_FALSE(next->zeroed);
  const auto* bytes = static_cast<const unsigned char*>(memory_of(next));
  for (std::size_t i = 0; i < 4 * page_size_bytes; ++i) ASSERT_EQ(bytes[i], 0);
  release_span(next, false);
  release_all(grown);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  release_span(ballast, true);
  check_all();
}

TEST_F(huge_pages_test, that_nobody_uses_go_back_to_the_system) {
  span* ballast = allocate_span(block_pages, 1, span_kind::large, true);
  const std::vector<span*> grown = grow_until_a_region_is_chosen(enough_spans);
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  touch_chosen_region();
  return_pages(0);
  EXPECT_LE(rollup_kib("Rss"), resident_before_kib + 256);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  check_all();
  release_all(grown);
  release_span(ballast, true);
}

TEST_F(huge_pages_test, are_not_touched_ahead_in_a_small_heap_or_for_large_blocks_or_when_switched_off) {
  release_all(grow_until_a_region_is_chosen(12));
  EXPECT_FALSE(has_chosen_region());
  span* ballast = allocate_span(block_pages, 1, span_kind::large, true);
  EXPECT_FALSE(has_chosen_region());
  ASSERT_TRUE(set_value(option::huge_pages, 0));
  release_all(grow_until_a_region_is_chosen(enough_spans));
  EXPECT_FALSE(has_chosen_region());
  ASSERT_TRUE(set_value(option::huge_pages, 1));
  release_span(ballast, true);
}

TEST_F(huge_pages_test, that_were_chosen_before_a_fork_are_put_back_in_the_child) {
  span* ballast = allocate_span(block_pages, 1, span_kind::large, true);
  const std::vector<span*> grown = grow_until_a_region_is_chosen(enough_spans);
  ASSERT_TRUE(has_chosen_region());
  recover_page_heap_after_fork();
  EXPECT_FALSE(has_chosen_region());
  check_all();
  touch_chosen_region();  // nothing to do
  release_all(grown);
  release_span(ballast, true);
  check_all();
}

TEST_F(huge_pages_test, that_the_system_refuses_lose_nothing) {
  span* ballast = allocate_span(block_pages, 1, span_kind::large, true);
  const std::vector<span*> grown = grow_until_a_region_is_chosen(enough_spans);
  ASSERT_TRUE(has_chosen_region());
  os::fail_from_nth_call(1);
  touch_chosen_region();
  os::fail_from_nth_call(0);
  check_all();
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  release_all(grown);
  release_span(ballast, true);
}

constexpr std::uint64_t skipped_pages = touch_pacing::least_skipped_bytes >> page_shift;

// Regions' worth of fresh pages until one is wanted.
std::uint64_t regions_until_wanted(touch_pacing& pacing) {
  std::uint64_t count = 1;
  while (!pacing.wants_region(region_pages)) ++count;
  return count;
}

TEST(touch_pacing, goes_on_while_it_is_cheap) {
  touch_pacing pacing;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(pacing.wants_region(4));
    pacing.note(true, touch_pacing::most_touch_ns);
  }
}

TEST(touch_pacing, stays_away_for_longer_each_time_it_was_dear_or_refused) {
  touch_pacing pacing;
  ASSERT_TRUE(pacing.wants_region(4));
  std::uint64_t expected = skipped_pages / region_pages;
  for (int i = 0; i < 4; ++i) {
    pacing.note(i % 2 == 0, touch_pacing::most_touch_ns + 1);
    EXPECT_EQ(regions_until_wanted(pacing), expected);
    expected *= 4;
  }
  for (int i = 0; i < 20; ++i) pacing.note(false, 0);
  EXPECT_EQ(regions_until_wanted(pacing), touch_pacing::most_skipped_bytes / huge_page_bytes);
}

TEST(touch_pacing, comes_back_when_it_is_cheap_again) {
  touch_pacing pacing;
  for (int i = 0; i < 3; ++i) pacing.note(true, touch_pacing::most_touch_ns * 10);
  regions_until_wanted(pacing);
  for (int i = 0; i < 3; ++i) pacing.note(true, touch_pacing::most_touch_ns / 4);
  EXPECT_EQ(regions_until_wanted(pacing), 1u);
  pacing.note(true, touch_pacing::most_touch_ns * 10);
  EXPECT_EQ(regions_until_wanted(pacing), skipped_pages / region_pages);
}

}  // namespace
}  // namespace tenure::core
