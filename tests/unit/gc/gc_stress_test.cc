// Many mutators and a collector that never rests, for ThreadSanitizer, the verifier and the shadow graphs.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "core/base/sanitizers.h"
#include "unit/gc/graph.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace {

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr int scale = 1;
#else
constexpr int scale = 5;
#endif

class gc_stress : public ::testing::TestWithParam<gc::plan> {
 protected:
  // Cycles of both kinds, one after the other, until told to stop.
  void start_collecting(gc::heap& heap) {
    collector_ = std::thread([this, &heap] {
      for (int i = 0; !stop_; ++i) {
        if (i % 3 == 0) {
          heap.collect();
        } else {
          heap.collect_young();
        }
      }
    });
  }
  void stop_collecting() {
    stop_ = true;
    collector_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread collector_;
};

template <bool counted>
void mutate(gc::heap& heap, std::uint32_t seed) {
  test::graph<counted> graph(heap, seed, 3000);
  for (int i = 0; i < 3000 * scale; ++i) {
    graph.step();
    if (i % 1000 == 999) graph.check_reachable();
    if (::testing::Test::HasFatalFailure()) return;
  }
  graph.settle();
  graph.check_exact();
  graph.forget_all();
}

TEST_P(gc_stress, each_thread_finds_its_graph_as_it_left_it) {
  gc::heap heap({.name = "graphs", .plan = GetParam(), .verify = true, .poison = true});
  start_collecting(heap);
  std::vector<std::thread> threads;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    threads.emplace_back([&heap, seed] { mutate<false>(heap, seed); });
  }
  threads.emplace_back([&heap] { mutate<true>(heap, 77); });
  for (std::thread& thread : threads) thread.join();
  stop_collecting();
  heap.collect();
  heap.wait_for_destructors();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
}

struct node {
  gc::member<node> next;
  std::uint64_t value = 0;
  std::uint64_t check = 0;
};
struct stack {
  gc::atomic_member<node> top;
};

// A stack without locks, hazard pointers or counters: every value that is pushed is popped once.
TEST_P(gc_stress, a_lock_free_stack_loses_nothing) {
  gc::heap heap({.name = "stack", .plan = GetParam(), .verify = true, .poison = true});
  start_collecting(heap);
  const gc::root<stack> shared(heap.make<stack>());
  constexpr int thread_count = 3;
  const std::uint64_t each = 2000 * scale;
  std::vector<std::atomic<int>> popped(thread_count * each);
  const auto pop = [&] {
    gc::local<node> seen = shared->top.load();
    while (seen && !shared->top.compare_exchange(seen, gc::local<node>(seen->next))) continue;
    if (!seen) return false;
    EXPECT_EQ(seen->check, seen->value * 31);
    popped[seen->value].fetch_add(1);
    return true;
  };
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < each; ++i) {
        gc::local<node> made = heap.make<node>();
        made->value = t * each + i;
        made->check = made->value * 31;
        gc::local<node> seen = shared->top.load();
        do made->next = seen;
        while (!shared->top.compare_exchange(seen, made));
        if (i % 2 == 1) pop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (pop()) continue;
  stop_collecting();
  for (const std::atomic<int>& count : popped) ASSERT_EQ(count.load(), 1);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 1u);
}

// Threads hand objects to one another through exchanged members; whoever holds one finds it whole.
TEST_P(gc_stress, exchanged_objects_are_whole) {
  gc::heap heap({.name = "exchange", .plan = GetParam(), .verify = true, .poison = true});
  start_collecting(heap);
  constexpr std::size_t places = 8;
  const gc::root<gc::array<gc::atomic_member<node>>> shared(heap.make_array<gc::atomic_member<node>>(places));
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      test::dice dice(t + 1);
      for (int i = 0; i < 5000 * scale; ++i) {
        gc::local<node> mine = heap.make<node>();
        mine->value = dice();
        mine->check = mine->value * 31;
        mine->next = heap.make<node>();
        mine->next->value = mine->value;
        mine->next->check = mine->check;
        const gc::local<node> theirs = (*shared)[dice.below(places)].exchange(mine);
        if (!theirs) continue;
        ASSERT_EQ(theirs->check, theirs->value * 31);
        const gc::weak<node> watched(theirs->next);
        ASSERT_EQ(theirs->next->check, theirs->check);
        ASSERT_FALSE(watched.expired());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop_collecting();
}

// A heap goes away while threads that have allocated in it collect another, and end.
TEST_P(gc_stress, a_heap_goes_away_beside_threads_that_used_it) {
  gc::heap stays({.name = "stays", .plan = GetParam()});
  for (int round = 0; round < 40 * scale; ++round) {
    auto goes = std::make_unique<gc::heap>(gc::heap_options{.name = "goes", .plan = GetParam()});
    std::atomic<int> used{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) goes->make<node>();
        used.fetch_add(1);
        for (int i = 0; i < 5 * t; ++i) {
          stays.make<node>();
          stays.collect_young();
        }
      });
    }
    while (used != 2) std::this_thread::yield();
    goes.reset();
    for (std::thread& thread : threads) thread.join();
  }
  stays.collect();
  EXPECT_EQ(stays.statistics().live_objects, 0u);
}

INSTANTIATE_TEST_SUITE_P(plans, gc_stress, test::shared_plans(), test::plan_name);

}  // namespace
