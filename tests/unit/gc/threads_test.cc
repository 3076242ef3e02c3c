// Threads: none registers, none has to answer; one that sleeps or computes delays no cycle, one that ends leaves
// nothing behind.
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "unit/gc/graph.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_threads_tests {
namespace {

struct item {
  gc::member<item> next;
  int value = 0;
};

class threads : public ::testing::TestWithParam<gc::plan> {
 protected:
  gc::heap heap_{{.name = "threads", .plan = GetParam(), .verify = true}};
};

// The other thread never comes back from its read while cycles complete: they cannot have waited for it.
TEST_P(threads, one_in_a_system_call_delays_no_cycle_and_keeps_its_locals) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<bool> ready{false};
  std::atomic<int> value{0};
  std::thread other([&] {
    const gc::local<item> held = heap_.make<item>();
    held->value = 11;
    ready = true;
    char byte;
    EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    value = held->value;
  });
  while (!ready) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 1u);
  EXPECT_EQ(heap_.statistics().cycles, 10u);
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  other.join();
  EXPECT_EQ(value, 11);
  ::close(ends[0]);
  ::close(ends[1]);
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

TEST_P(threads, one_that_computes_delays_no_cycle) {
  std::atomic<bool> ready{false};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    const gc::local<item> held = heap_.make<item>();
    ready = true;
    while (!stop.load(std::memory_order_relaxed)) continue;
  });
  while (!ready) std::this_thread::yield();
  for (int i = 0; i < 10; ++i) heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 1u);
  stop = true;
  other.join();
}

TEST_P(threads, those_that_end_leave_nothing) {
  for (int round = 0; round < 50; ++round) {
    std::thread([&] {
      gc::local<item> list;
      for (int i = 0; i < 100; ++i) {
        gc::local<item> next = heap_.make<item>();
        next->next = list;
        list = next;
      }
    }).join();
  }
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
  EXPECT_EQ(heap_.statistics().block_bytes, 0u);
}

TEST_P(threads, what_one_makes_another_keeps) {
  gc::root<item> from_other;
  std::thread([&] {
    from_other = heap_.make<item>().get();
    from_other->next = heap_.make<item>();
    from_other->next->value = 5;
  }).join();
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 2u);
  EXPECT_EQ(from_other->next->value, 5);
}

INSTANTIATE_TEST_SUITE_P(plans, threads, test::shared_plans(), test::plan_name);

}  // namespace
}  // namespace gc_threads_tests
