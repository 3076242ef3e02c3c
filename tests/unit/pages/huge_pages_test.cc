// Huge pages: only where the memory is there anyway, and given up when it goes.
#include "core/pages/huge_pages.h"

#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

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

// A heap that is large enough, whose small spans are cut from fresh memory.
class begun_region_test : public huge_pages_test {
 protected:
  void SetUp() override {
    huge_pages_test::SetUp();
    if (IsSkipped()) return;
    ballast_ = allocate_span(block_pages, 1, span_kind::large, true);  // never touched
    ASSERT_NE(ballast_, nullptr);
    tell_small_bytes(64 << 20);
    forget_huge_page_pacing();
  }
  void TearDown() override {
    build_begun_region();
    for (span* each : spans_) release_span(each, false);
    if (ballast_ != nullptr) release_span(ballast_, true);
    tell_small_bytes(0);
    return_pages(0);
    EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
    check_all();
  }

  // What the central lists count.
  static void tell_small_bytes(std::uint64_t bytes) { telemetry::statistics().small_span_bytes = bytes; }

  static void check_all() {
    lock_page_heap();
    check_page_heap();
    unlock_page_heap();
  }

  span* cut() {
    span* made = allocate_span(4, 1, span_kind::small, false);
    EXPECT_NE(made, nullptr);
    if (made != nullptr) spans_.push_back(made);
    return made;
  }
  // Whether a region is begun within as many spans as make three of them.
  bool begins() {
    for (unsigned i = 0; i < 3 * region_pages / 4 && !has_begun_region(); ++i) {
      if (cut() == nullptr) break;
    }
    return has_begun_region();
  }

  std::vector<span*> spans_;
  span* ballast_ = nullptr;
};

std::uintptr_t region_of(const span* of) { return of->first_page / region_pages; }

TEST_F(begun_region_test, becomes_a_huge_page_with_what_was_written) {
  ASSERT_TRUE(begins());
  span* first = spans_.back();
  EXPECT_TRUE(first->zeroed);
  std::memset(memory_of(first), 7, 100);
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  const std::uint64_t huge_before_kib = rollup_kib("AnonHugePages");
  build_begun_region();
  EXPECT_FALSE(has_begun_region());
  check_all();
  const std::uint64_t huge_kib = rollup_kib("AnonHugePages") - huge_before_kib;
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, huge_kib * 1024);
  if (huge_kib == 0) GTEST_SKIP() << "the kernel had no huge page";
  EXPECT_EQ(huge_kib, huge_page_bytes / 1024);
  EXPECT_GE(rollup_kib("Rss"), resident_before_kib + 1900);
  const auto* bytes = static_cast<const unsigned char*>(memory_of(first));
  for (std::size_t i = 0; i < 4 * page_size_bytes; ++i) ASSERT_EQ(bytes[i], i < 100 ? 7 : 0) << i;
}

TEST_F(begun_region_test, is_what_the_next_spans_are_cut_from) {
  ASSERT_TRUE(begins());
  const span* first = spans_.back();
  for (std::uint32_t page = first->first_page + 4; page + 4 <= (region_of(first) + 1) * region_pages; page += 4) {
    const span* next = cut();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(region_of(next), region_of(first));
    EXPECT_FALSE(next->zeroed);  // free pages that are resident soon
  }
  EXPECT_NE(region_of(cut()), region_of(first));
}

TEST_F(begun_region_test, goes_back_to_the_system_where_nobody_uses_it) {
  ASSERT_TRUE(begins());
  std::memset(memory_of(spans_.back()), 7, 100);
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  build_begun_region();
  if (telemetry::statistics().huge_page_bytes == 0) GTEST_SKIP() << "the kernel had no huge page";
  ASSERT_GE(rollup_kib("Rss"), resident_before_kib + 1900);
  return_pages(0);
  EXPECT_LE(rollup_kib("Rss"), resident_before_kib + 256);
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  check_all();
}

TEST_F(begun_region_test, needs_a_heap_with_many_small_blocks) {
  tell_small_bytes(notable_heap_bytes / 2 - 1);
  EXPECT_FALSE(begins());
  tell_small_bytes(notable_heap_bytes / 2);
  EXPECT_TRUE(begins());
}

TEST_F(begun_region_test, needs_a_large_heap) {
  release_span(ballast_, true);
  ballast_ = nullptr;
  EXPECT_FALSE(begins());
  ballast_ = allocate_span(block_pages, 1, span_kind::large, true);
  EXPECT_TRUE(begins());
}

TEST_F(begun_region_test, needs_the_option) {
  ASSERT_TRUE(set_value(option::huge_pages, 0));
  EXPECT_FALSE(begins());
  ASSERT_TRUE(set_value(option::huge_pages, 1));
  EXPECT_TRUE(begins());
}

TEST_F(begun_region_test, is_for_small_blocks_only) {
  for (unsigned i = 0; i < 2 * region_pages / 4; ++i) {
    spans_.push_back(allocate_span(4, 1, span_kind::large, false));
    ASSERT_NE(spans_.back(), nullptr);
  }
  EXPECT_FALSE(has_begun_region());
  EXPECT_TRUE(begins());
}

TEST_F(begun_region_test, loses_nothing_where_the_system_refuses) {
  for (std::uint64_t nth = 1; nth <= 2; ++nth) {
    forget_huge_page_pacing();
    ASSERT_TRUE(begins());
    const std::uint64_t refusals = os::refused_calls();
    os::fail_from_nth_call(nth);
    build_begun_region();
    os::fail_from_nth_call(0);
    EXPECT_EQ(os::refused_calls(), refusals);  // a hint
    EXPECT_FALSE(has_begun_region());
    check_all();
    const span* first = spans_.back();
    EXPECT_EQ(region_of(cut()), region_of(first));
  }
}

TEST_F(begun_region_test, is_built_on_both_sides_of_a_fork) {
  ASSERT_TRUE(begins());
  std::memset(memory_of(spans_.back()), 7, 100);
  lock_page_heap();
  const pid_t child = ::fork();
  unlock_page_heap();
  if (child == 0) {
    recover_page_heap_after_fork();
    build_begun_region();
    check_all();
    const auto* bytes = static_cast<const unsigned char*>(memory_of(spans_.back()));
    ::_exit(bytes[99] == 7 && bytes[100] == 0 ? 0 : 1);
  }
  build_begun_region();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  check_all();
}

TEST_F(begun_region_test, is_built_by_threads_that_cut_and_release) {
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([number] {
      std::vector<span*> mine;
      for (unsigned i = 0; i < 600; ++i) {
        span* made = allocate_span(4, 1, span_kind::small, false);
        ASSERT_NE(made, nullptr);
        std::memset(memory_of(made), static_cast<int>(number + 1), 100);
        mine.push_back(made);
        if (has_begun_region()) build_begun_region();
        if (i % 3 == number % 3) {
          ASSERT_EQ(static_cast<unsigned char*>(memory_of(mine[i / 2]))[99], number + 1);
        }
        if (i % 100 == 99) return_pages(0);
      }
      for (span* each : mine) {
        ASSERT_EQ(static_cast<unsigned char*>(memory_of(each))[99], number + 1);
        release_span(each, false);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  check_all();
}

constexpr std::uint64_t skipped_pages = huge_page_pacing::least_skipped_bytes >> page_shift;

// Regions' worth of fresh pages until one is wanted.
std::uint64_t regions_until_wanted(huge_page_pacing& pacing) {
  std::uint64_t count = 1;
  while (!pacing.wants_region(region_pages)) ++count;
  return count;
}

TEST(huge_page_pacing, goes_on_while_it_is_cheap) {
  huge_page_pacing pacing;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(pacing.wants_region(4));
    pacing.note(true, huge_page_pacing::most_ns);
  }
}

TEST(huge_page_pacing, stays_away_for_longer_each_time_it_was_dear_or_refused) {
  huge_page_pacing pacing;
  ASSERT_TRUE(pacing.wants_region(4));
  std::uint64_t expected = skipped_pages / region_pages;
  for (int i = 0; i < 4; ++i) {
    pacing.note(i % 2 == 0, huge_page_pacing::most_ns + 1);
    EXPECT_EQ(regions_until_wanted(pacing), expected);
    expected *= 4;
  }
  for (int i = 0; i < 20; ++i) pacing.note(false, 0);
  EXPECT_EQ(regions_until_wanted(pacing), huge_page_pacing::most_skipped_bytes / huge_page_bytes);
}

TEST(huge_page_pacing, comes_back_when_it_is_cheap_again) {
  huge_page_pacing pacing;
  for (int i = 0; i < 3; ++i) pacing.note(true, huge_page_pacing::most_ns * 10);
  regions_until_wanted(pacing);
  for (int i = 0; i < 3; ++i) pacing.note(true, huge_page_pacing::most_ns / 4);
  EXPECT_EQ(regions_until_wanted(pacing), 1u);
  pacing.note(true, huge_page_pacing::most_ns * 10);
  EXPECT_EQ(regions_until_wanted(pacing), skipped_pages / region_pages);
}

}  // namespace
}  // namespace tenure::core
