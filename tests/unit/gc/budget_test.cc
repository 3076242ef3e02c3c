// The heap and the process's budget, its share of the processors, off-heap bytes, idle time, and the figures of cycles.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <tenure/account.hpp>
#include <tenure/gc.hpp>

#include "library/gc/heap_state.h"
#include "library/gc/processor_share.h"
#include "support/rounds.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_budget_tests {
namespace {

struct item {
  gc::member<item> next;
  char bytes[100];
};

void make_garbage(gc::heap& heap, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / sizeof(item); ++i) heap.make<item>();
}

class budget : public ::testing::TestWithParam<gc::plan> {};

// The account holds the blocks, and what a heap leaves is nobody's.
TEST_P(budget, an_account_above_holds_what_heaps_do) {
  account above("application");
  {
    test::any_heap one({.name = "one", .plan = GetParam(), .parent = &above});
    test::any_heap two({.name = "two", .plan = GetParam(), .parent = &above});
    const gc::local<item> kept = one.make<item>();
    const auto big = two.make_array<char>(1'000'000);
    EXPECT_EQ(above.statistics().held_bytes, one.statistics().block_bytes + two.statistics().block_bytes);
    EXPECT_GE(above.statistics().held_bytes, 1'000'000u);
  }
  EXPECT_EQ(above.statistics().held_bytes, 0u);
}

// A limit above stands for all below it: garbage goes before an allocation fails.
TEST_P(budget, a_limit_above_makes_room_by_collecting) {
  account above("application");
  above.set_limits({.hard_bytes = 2 << 20});
  test::any_heap heap({.name = "below", .plan = GetParam(), .parent = &above});
  for (int i = 0; i < 20; ++i) {
    make_garbage(heap, 1 << 20);
    ASSERT_LE(above.statistics().held_bytes, std::uint64_t{2} << 20);
  }
  EXPECT_GE(heap.statistics().cycles, 5u);
  EXPECT_THROW(heap.make_array<char>(4 << 20), std::bad_alloc);
}

// Somebody else's charge asks the heap, which has garbage.
TEST_P(budget, a_heap_gives_back_what_others_want) {
  account above("application");
  above.set_limits({.hard_bytes = 4 << 20});
  account other("other", "application", &above);
  test::any_heap heap(
      {.name = "full of garbage", .plan = GetParam(), .least_growth_bytes = 64 << 20, .parent = &above});
  make_garbage(heap, 3 << 20);
  ASSERT_EQ(heap.statistics().cycles, 0u);
  EXPECT_TRUE(other.try_charge(3 << 20));
  EXPECT_GE(heap.statistics().cycles, 1u);
  other.release(3 << 20);
  make_garbage(heap, 1 << 20);
  EXPECT_GT(tenure_relieve_pressure(1 << 20), 0u);
}

TEST_P(budget, limits_and_percentages_change_while_the_heap_is_used) {
  test::any_heap heap({.name = "changed", .plan = GetParam(), .least_growth_bytes = 64 << 20});
  std::vector<gc::root<gc::array<char>>> kept;
  for (int i = 0; i < 4; ++i) kept.emplace_back(heap.make_array<char>(1 << 20));
  heap.set_limit_bytes(5 << 20);
  EXPECT_THROW(heap.make_array<char>(2 << 20), std::bad_alloc);
  heap.set_limit_bytes(0);
  EXPECT_NO_THROW(heap.make_array<char>(2 << 20));
}

// Each of the objects stands for a mebibyte elsewhere: cycles begin though the heap itself hardly grows.
TEST_P(budget, off_heap_bytes_begin_cycles) {
  test::any_heap heap({.name = "off heap", .plan = GetParam(), .least_growth_bytes = 8 << 20});
  for (int i = 0; i < 200; ++i) {
    heap.adjust_off_heap(1 << 20);
    for (int j = 0; j < 70; ++j) heap.make<item>();  // past the thread's word
    heap.adjust_off_heap(-(1 << 20));
  }
  heap.collect();
  EXPECT_GE(heap.statistics().cycles, 3u);
  heap.adjust_off_heap(5);
  EXPECT_EQ(heap.statistics().off_heap_bytes, 5u);
}

TEST_P(budget, idle_time_is_used_for_what_fits_into_it) {
  using namespace std::chrono_literals;
  test::any_heap heap({.name = "idle", .plan = GetParam(), .least_growth_bytes = 1 << 20});
  EXPECT_FALSE(heap.idle(1h));  // nothing to do
  make_garbage(heap, 1 << 19);
  EXPECT_FALSE(heap.idle(0ns));
  heap.collect();
  make_garbage(heap, 1 << 19);
  EXPECT_TRUE(heap.idle(1h));
  EXPECT_FALSE(heap.idle(1h));
  make_garbage(heap, 1 << 19);
  EXPECT_FALSE(heap.idle(1ns));  // cycles took longer
}

TEST_P(budget, cycles_are_told_one_by_one) {
  test::any_heap heap({.name = "told", .plan = GetParam()});
  const gc::root<item> kept(heap.make<item>());
  make_garbage(heap, 10 * sizeof(item));
  heap.collect();
  kept->next = heap.make<item>();
  heap.collect();
  const std::vector<gc::cycle_event> told = heap.last_cycles();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].number, 1u);
  EXPECT_TRUE(told[0].is_full);
  EXPECT_EQ(told[0].freed_objects, 10u);
  EXPECT_EQ(told[0].marked_objects, 1u);
  EXPECT_EQ(told[1].marked_objects, 2u);
  EXPECT_GE(told[1].began_ns, told[0].began_ns + told[0].cycle_ns);
  const gc::heap_statistics now = heap.statistics();
  EXPECT_EQ(now.cycle_ns, told[0].cycle_ns + told[1].cycle_ns);
  EXPECT_EQ(now.handshakes, told[0].handshakes + told[1].handshakes);
  EXPECT_EQ(now.fragmented_bytes + now.live_bytes, now.block_bytes);
  EXPECT_GT(now.utilisation(), 0.0);
  EXPECT_LT(now.utilisation(), 1.0);
  for (int i = 0; i < 100; ++i) heap.collect();
  const std::vector<gc::cycle_event> last = heap.last_cycles();
  ASSERT_EQ(last.size(), 64u);
  EXPECT_EQ(last.back().number, 102u);
  EXPECT_EQ(last.front().number, 39u);
}

INSTANTIATE_TEST_SUITE_P(plans, budget, test::collecting_plans(), test::plan_name);

TEST(pacing, young_cycles_tell_what_they_promote) {
  gc::heap heap({.name = "promoted"});
  const gc::root<item> kept(heap.make<item>());
  heap.collect_young();
  EXPECT_EQ(heap.statistics().promoted_objects, 1u);
  kept->next = heap.make<item>();
  heap.collect_young();
  EXPECT_EQ(heap.statistics().promoted_objects, 2u);
  heap.collect();
  EXPECT_EQ(heap.statistics().promoted_objects, 2u);
}

TEST(pacing, calls_off_the_fast_path_are_measured_when_asked_for) {
  gc::heap heap({.name = "measured"});
  std::thread([&] {
    make_garbage(heap, 1 << 16);
    const auto count = [] {
      std::uint64_t all = 0;
      for (const gc::thread_figures& each : gc::thread_statistics()) all += each.entries.count();
      return all;
    };
    const std::uint64_t before = count();
    make_garbage(heap, 1 << 16);
    EXPECT_EQ(count(), before);
    gc::measure_entries(true);
    make_garbage(heap, 1 << 20);
    gc::measure_entries(false);
    // A word of at most 64 cells each.
    EXPECT_GE(count() - before, (1u << 20) / sizeof(item) / 64);
  }).join();
}

// Beyond its share the collector begins no cycle for growth, and at the limit the user says what becomes of it.
TEST(pacing, beyond_its_share_the_user_decides) {
  int asked = 0;
  auto answer = gc::at_share_limit::refuse;
  gc::heap heap({.name = "share",
                 .limit_bytes = 8 << 20,
                 .least_growth_bytes = 1 << 20,
                 .collector_share_percent = 1,
                 .at_share = [&](const gc::heap_statistics& now) {
                   ++asked;
                   EXPECT_LE(now.block_bytes, std::size_t{8} << 20);
                   return answer;
                 }});
  std::vector<gc::root<item>> kept;
  for (int i = 0; i < 10'000; ++i) kept.emplace_back(heap.make<item>());
  // Enough of them to be beyond one per cent of whatever this machine has, for longer than the rest takes.
  for (int i = 0; i < test::rounds(400) || heap.statistics().collector_ns < 2'000'000'000; ++i) heap.collect();
  // The cycle that growth has asked for before may have had to wait for all of these.
  while (heap.state().requested) std::this_thread::yield();
  const std::uint64_t cycles = heap.statistics().cycles;
  EXPECT_THROW(make_garbage(heap, 32 << 20), std::bad_alloc);
  EXPECT_EQ(heap.statistics().cycles, cycles);
  EXPECT_GT(heap.statistics().put_off, 0u);
  EXPECT_EQ(asked, 1);
  answer = gc::at_share_limit::collect;
  EXPECT_NO_THROW(make_garbage(heap, 32 << 20));
  EXPECT_GT(heap.statistics().cycles, cycles);
  EXPECT_GT(asked, 1);
}

TEST(processor_share, fades_by_half_in_a_second) {
  gc::processor_share share;
  EXPECT_EQ(share.percent(5, 2), 0.0);
  for (std::uint64_t ms = 1; ms <= 20'000; ++ms) share.add(ms * 1'000'000, 500'000);
  const std::uint64_t now_ns = 20'000'000'000;
  EXPECT_NEAR(share.percent(now_ns, 1), 50, 1);
  EXPECT_NEAR(share.percent(now_ns, 4), 12.5, 0.3);
  EXPECT_NEAR(share.percent(now_ns + 1'000'000'000, 1), 25, 1);
}

class groups : public ::testing::Test {
 protected:
  groups() : root_(std::filesystem::temp_directory_path() / ("tenure-groups-" + std::to_string(::getpid()))) {}
  ~groups() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::filesystem::path root_;
};

TEST_F(groups, the_least_quota_of_a_group_and_those_above_counts) {
  const double all = gc::usable_processors(root_.string());
  EXPECT_GE(all, 1);
  write("proc/self/cgroup", "0::/a/b\n");
  EXPECT_EQ(gc::usable_processors(root_.string()), all);
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/a/cpu.max", "25000 100000\n");
  EXPECT_EQ(gc::usable_processors(root_.string()), 0.25);
  write("sys/fs/cgroup/a/b/cpu.max", "10000 100000\n");
  EXPECT_EQ(gc::usable_processors(root_.string()), 0.1);
}

TEST_F(groups, quotas_of_the_first_version_count) {
  const double all = gc::usable_processors(root_.string());
  write("proc/self/cgroup", "12:cpuset:/x\n4:cpuacct,cpu:/a\n1:name=systemd:/\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(gc::usable_processors(root_.string()), all);
  write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
  EXPECT_EQ(gc::usable_processors(root_.string()), 0.5);
}

}  // namespace
}  // namespace gc_budget_tests
