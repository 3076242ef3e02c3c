// Huge pages: only where the memory is there anyway, and given up when it goes.
#include "core/pages/huge_pages.h"

#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
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

// How many mappings the kernel keeps for the window's chunks.
std::size_t window_mappings() {
  std::ifstream file("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    const std::uintptr_t begin = std::stoull(line, nullptr, 16);
    if (begin >= window.begin && begin < page_address(window.mapped_pages)) ++count;
  }
  return count;
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
    learn_huge_page_policy();
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

// A heap that is large enough, whose small spans are cut from fresh memory. All of this holds where the kernel has no
// huge page as well, but for what the tests say that skip there.
class begun_region_test : public ::testing::Test {
 protected:
  void SetUp() override {
    learn_huge_page_policy();
    if (os::kernel_huge_page_policy() == os::huge_page_policy::never) GTEST_SKIP() << "the kernel's policy is never";
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

// The region that is on its way: the one run that is in no list and in nobody's use.
std::uintptr_t begun_region() {
  std::uintptr_t found = ~std::uintptr_t{0};
  lock_page_heap();
  visit_spans(
      [](void* context, span* visited) {
        if (visited->kind != span_kind::releasing) return;
        EXPECT_EQ(visited->page_count, region_pages);
        EXPECT_EQ(visited->first_page % region_pages, 0u);
        *static_cast<std::uintptr_t*>(context) = region_of(visited);
      },
      &found, true);
  unlock_page_heap();
  return found;
}

TEST_F(begun_region_test, becomes_a_huge_page_of_zeroes) {
  ASSERT_TRUE(begins());
  const std::uintptr_t region = begun_region();
  EXPECT_NE(region, region_of(spans_.back()));
  const std::uint64_t resident_before_kib = rollup_kib("Rss");
  const std::uint64_t huge_before_kib = rollup_kib("AnonHugePages");
  const std::size_t mappings_before = window_mappings();
  build_begun_region();
  EXPECT_FALSE(has_begun_region());
  EXPECT_EQ(window_mappings(), mappings_before);  // so that mremap goes on to move what is on both sides
  check_all();
  const std::uint64_t huge_kib = rollup_kib("AnonHugePages") - huge_before_kib;
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, huge_kib * 1024);
  if (huge_kib == 0) GTEST_SKIP() << "the kernel had no huge page";
  EXPECT_EQ(huge_kib, huge_page_bytes / 1024);
  EXPECT_GE(rollup_kib("Rss"), resident_before_kib + 1900);
  const auto* bytes = reinterpret_cast<const unsigned char*>(page_address(region * region_pages));
  for (std::size_t i = 0; i < huge_page_bytes; ++i) ASSERT_EQ(bytes[i], 0) << i;
}

TEST_F(begun_region_test, becomes_one_again_after_an_earlier_use) {
  ASSERT_TRUE(begins());
  const std::uintptr_t region = begun_region();
  build_begun_region();
  if (telemetry::statistics().huge_page_bytes == 0) GTEST_SKIP() << "the kernel had no huge page";
  // It goes back in parts, so that a page table is left.
  for (unsigned part = 0; part < 2; ++part) {
    spans_.push_back(allocate_span(region_pages / 2, 1, span_kind::large, false));
    ASSERT_NE(spans_.back(), nullptr);
    EXPECT_EQ(region_of(spans_.back()), region);
  }
  for (unsigned part = 0; part < 2; ++part) {
    release_span(spans_.back(), false);
    spans_.pop_back();
    return_pages(0);
  }
  EXPECT_EQ(telemetry::statistics().huge_page_bytes, 0u);
  const std::uint64_t huge_before_kib = rollup_kib("AnonHugePages");
  const built_region built = build_huge_page(region);
  EXPECT_TRUE(built.is_huge);
  EXPECT_GT(built.took_ns, 0u);
  EXPECT_EQ(rollup_kib("AnonHugePages"), huge_before_kib + huge_page_bytes / 1024);
  forget_huge_pages(region * region_pages, region_pages);
}

TEST_F(begun_region_test, is_what_the_next_spans_are_cut_from_until_the_next_one_is_there) {
  ASSERT_TRUE(begins());
  const std::uintptr_t region = begun_region();
  build_begun_region();
  const bool is_huge = telemetry::statistics().huge_page_bytes != 0;
  for (std::uint32_t pages = 4; pages <= region_pages; pages += 4) {
    const span* next = cut();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(region_of(next), region);
    EXPECT_FALSE(next->zeroed);  // free pages that may be resident
  }
  if (!is_huge) GTEST_SKIP() << "the kernel had no huge page";
  EXPECT_TRUE(has_begun_region());
  const std::uintptr_t following = begun_region();
  EXPECT_NE(following, region);
  build_begun_region();
  EXPECT_EQ(region_of(cut()), following);
}

TEST_F(begun_region_test, goes_back_to_the_system_where_nobody_uses_it) {
  ASSERT_TRUE(begins());
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
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    forget_huge_page_pacing();
    ASSERT_TRUE(begins());
    const std::uintptr_t region = begun_region();
    const std::uint64_t refusals = os::refused_calls();
    os::fail_from_nth_call(nth);
    build_begun_region();
    os::fail_from_nth_call(0);
    EXPECT_LE(os::refused_calls(), refusals + 1);  // hints, and the scratch pages
    EXPECT_FALSE(has_begun_region());
    check_all();
    EXPECT_EQ(region_of(cut()), region);
    release_span(spans_.back(), false);
    spans_.pop_back();
    return_pages(0);
  }
}

// The thread that begun it is the one that would build it, and does not wait for itself.
TEST_F(begun_region_test, is_given_up_where_nothing_else_is_free) {
  ASSERT_TRUE(begins());
  const std::uintptr_t region = begun_region();
  os::fail_from_nth_call(1);
  bool came_to_region = false;
  while (span* each = allocate_span(4, 1, span_kind::large, true)) {
    came_to_region = came_to_region || region_of(each) == region;
    spans_.push_back(each);
  }
  os::fail_from_nth_call(0);
  EXPECT_TRUE(came_to_region);
  EXPECT_FALSE(has_begun_region());
  check_all();
}

// The child has no thread that would put back what is on its way.
TEST_F(begun_region_test, is_free_in_the_child_of_a_fork) {
  ASSERT_TRUE(begins());
  const std::uintptr_t region = begun_region();
  lock_page_heap();
  const pid_t child = ::fork();
  unlock_page_heap();
  if (child == 0) {
    recover_page_heap_after_fork();
    check_all();
    const bool was_free = !has_begun_region() && region_of(cut()) == region;
    build_begun_region();
    check_all();
    ::_exit(was_free ? 0 : 1);
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

// Regions of page faults until one is wanted.
std::int64_t regions_until_wanted(huge_page_pacing& pacing) {
  std::int64_t count = 0;
  while (!pacing.wants_region(region_pages)) ++count;
  return count;
}

constexpr auto faults_ns = static_cast<std::uint64_t>(huge_page_pacing::first_faults_ns);

TEST(huge_page_pacing, goes_on_while_it_is_cheap) {
  huge_page_pacing pacing;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(pacing.wants_region(0));
    pacing.note({true, faults_ns, 0});
  }
}

TEST(huge_page_pacing, loses_a_share_of_growth_where_it_is_dear) {
  huge_page_pacing pacing;
  constexpr std::uint64_t dear_ns = 12 * faults_ns;
  std::uint64_t lost_ns = 0;
  constexpr std::int64_t regions = 10000;
  for (std::int64_t i = 0; i < regions; ++i) {
    if (!pacing.wants_region(region_pages)) continue;
    pacing.note({true, dear_ns, 0});
    lost_ns += dear_ns - faults_ns;
  }
  const std::uint64_t share_ns = regions * faults_ns / huge_page_pacing::share_for_trying;
  EXPECT_LE(lost_ns, share_ns + huge_page_pacing::most_credit_ns + dear_ns);
  EXPECT_GE(lost_ns, share_ns - dear_ns);  // and goes on looking
}

TEST(huge_page_pacing, compares_with_what_page_faults_take_on_this_machine) {
  huge_page_pacing pacing;
  const auto built_in_a_row = [&pacing](std::uint64_t took_ns, std::uint64_t first_faults_ns) {
    int count = 0;
    for (; count < 1000 && pacing.wants_region(0); ++count)
      pacing.note({true, took_ns, count == 0 ? first_faults_ns : 0});
    return count;
  };
  EXPECT_EQ(built_in_a_row(3 * faults_ns, 3 * faults_ns), 1000);
  EXPECT_EQ(built_in_a_row(3 * faults_ns, 0), 1000);  // not known: as before
  EXPECT_EQ(built_in_a_row(3 * faults_ns, faults_ns),
            huge_page_pacing::most_credit_ns / huge_page_pacing::first_faults_ns / 2 + 1);
}

TEST(huge_page_pacing, believes_no_measurement_beyond_reason) {
  huge_page_pacing pacing;
  pacing.note({true, 0, 1});
  EXPECT_EQ(pacing.faults_ns(), huge_page_pacing::least_faults_ns);
  pacing.note({true, 0, ~std::uint64_t{0}});
  EXPECT_EQ(pacing.faults_ns(), huge_page_pacing::most_faults_ns);
}

TEST(huge_page_pacing, regions_bring_a_measurement_now_and_then) {
  if (!kernel_collapses()) GTEST_SKIP() << "the kernel has no MADV_COLLAPSE or no huge page to give";
  span* dense = allocate_span(block_pages, 1, span_kind::large, true);
  const std::size_t region = dense->first_page / region_pages + 1;
  unsigned measured = 0;
  for (unsigned i = 0; i < 128; ++i) measured += build_huge_page(region).faults_ns != 0;
  EXPECT_EQ(measured, 4u);
  release_span(dense, false);
  return_pages(0);
}

TEST(huge_page_pacing, page_faults_are_measured_where_they_happen) {
  rusage before{}, after{};
  getrusage(RUSAGE_THREAD, &before);
  const std::uint64_t took_ns = measure_page_faults_ns();
  getrusage(RUSAGE_THREAD, &after);
  EXPECT_GE(after.ru_minflt - before.ru_minflt, 16);
  EXPECT_GT(took_ns, 0u);
  os::fail_from_nth_call(1);
  EXPECT_EQ(measure_page_faults_ns(), 0u);
  os::fail_from_nth_call(0);
}

TEST(huge_page_pacing, stays_away_from_what_is_refused) {
  huge_page_pacing pacing;
  int refused = 0;
  while (pacing.wants_region(0) && refused < 1000) {
    pacing.note({false, faults_ns / 4, 0});
    ++refused;
  }
  EXPECT_EQ(refused, 4 * huge_page_pacing::most_credit_ns / huge_page_pacing::first_faults_ns + 1);
}

TEST(huge_page_pacing, waits_for_some_growth_where_there_was_no_room) {
  huge_page_pacing pacing;
  pacing.note_no_room();
  EXPECT_TRUE(pacing.wants_region(0));  // one more
  pacing.note_no_room();
  constexpr std::int64_t shares = huge_page_pacing::most_credit_ns / huge_page_pacing::first_faults_ns;
  EXPECT_EQ(regions_until_wanted(pacing), shares * huge_page_pacing::share_for_trying - 1);
}

TEST(huge_page_pacing, comes_back_after_some_growth_when_it_is_cheap_again) {
  huge_page_pacing pacing;
  for (int i = 0; i < 2; ++i) pacing.note({true, 12 * faults_ns, 0});  // 22 of 20 used
  EXPECT_EQ(regions_until_wanted(pacing), 2 * huge_page_pacing::share_for_trying - 1);
  for (int i = 0; i < 40; ++i) pacing.note({true, faults_ns / 2, 0});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(pacing.wants_region(0));
    pacing.note({true, 11 * faults_ns, 0});
  }
  EXPECT_TRUE(pacing.wants_region(0));
}

TEST(huge_page_pacing, takes_a_stopped_process_for_a_short_one) {
  huge_page_pacing pacing;
  pacing.note({true, ~std::uint64_t{0}, 0});
  EXPECT_LE(regions_until_wanted(pacing), std::int64_t{8} * 1'000'000'000 / huge_page_pacing::first_faults_ns);
}

}  // namespace
}  // namespace tenure::core
