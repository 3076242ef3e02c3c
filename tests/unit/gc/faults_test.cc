// No memory: from the kernel, by the heap's limit, for the marker.
#include <gtest/gtest.h>

#include <new>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/window.h"
#include "support/rounds.h"
#include "unit/gc/graph.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_faults_tests {
namespace {

struct item {
  gc::member<item> next;
  char bytes[200];
};

class faults : public ::testing::TestWithParam<gc::plan> {
 protected:
  void TearDown() override { gc::window::refuse_runs_after(0); }
};

TEST_P(faults, a_refused_block_collects_and_then_throws) {
  for (std::uint64_t after = 1; after <= test::rounds(11u); ++after) {
    test::any_heap heap({.name = "refused", .plan = GetParam(), .verify = true});
    gc::root<item> list(heap.make<item>());
    std::size_t made = 1;
    gc::window::refuse_runs_after(after);
    bool is_refused = false;
    try {
      for (;;) {
        gc::local<item> next = heap.make<item>();
        next->next = list.get();
        list = next.get();
        ++made;
      }
    } catch (const std::bad_alloc&) {
      is_refused = true;
    }
    EXPECT_TRUE(is_refused);
    EXPECT_THROW(heap.make_array<char>(1 << 20), std::bad_alloc);
    heap.collect();
    EXPECT_EQ(heap.statistics().live_objects, made);
    // What is dropped can be used again without a block.
    list = nullptr;
    heap.collect();
    gc::window::refuse_runs_after(0);
    EXPECT_NO_THROW(heap.make<item>());
    heap.check();
  }
}

TEST_P(faults, random_mutators_survive_refusals) {
  for (std::uint32_t seed = 1; seed < 6; ++seed) {
    test::any_heap heap({.name = "refused", .plan = GetParam(), .verify = true});
    test::graph<false> graph(heap, seed, 20'000);
    for (int i = 0; i < 200; ++i) graph.step();
    gc::window::refuse_runs_after(seed);
    for (int i = 0; i < 20'000; ++i) {
      try {
        graph.step();
      } catch (const std::bad_alloc&) {
        heap.collect();
      }
    }
    gc::window::refuse_runs_after(0);
    graph.settle();
    graph.check_exact();
  }
}

TEST_P(faults, the_limit_holds_and_garbage_does_not_count) {
  test::any_heap heap({.name = "limited", .plan = GetParam(), .limit_bytes = 1 << 20});
  for (int i = 0; i < 100'000; ++i) {
    heap.make<item>();
    ASSERT_LE(heap.statistics().block_bytes, std::size_t{1} << 20);
  }
  gc::root<item> list;
  std::size_t made = 0;
  EXPECT_THROW(
      {
        for (;; ++made) {
          gc::local<item> next = heap.make<item>();
          next->next = list.get();
          list = next.get();
        }
      },
      std::bad_alloc);
  EXPECT_LE(heap.statistics().block_bytes, std::size_t{1} << 20);
  EXPECT_GT(made * sizeof(item), std::size_t{900} << 10);
  heap.set_limit_bytes(0);
  EXPECT_NO_THROW(heap.make<item>());
}

// The verifier meets a pointer that has outlived its object where it is stored, not when a cycle comes to it.
TEST(faults_death, a_stale_pointer_is_met_at_the_store) {
  gc::heap heap({.name = "stale", .plan = gc::plan::mark_sweep, .verify = true});
  const gc::local<item> top = heap.make<item>();
  item* const stale = heap.make<item>().get();
  const gc::local<item> beside = heap.make<item>();  // keeps the block
  heap.collect();
  EXPECT_DEATH(top->next = stale, "a gc pointer to .* was stored, which is free: a raw pointer outlived");
  EXPECT_DEATH(gc::local<item>{stale}, "was stored, which is free");
  item outside{};
  EXPECT_DEATH(top->next = &outside, "was stored, which is not managed");
  top->next = beside;
}

// And no longer when the last heap that verifies has gone.
TEST(faults, stores_are_as_fast_as_ever_when_nobody_verifies) {
  const auto verifies = [] { return (gc::detail::barrier.phase.load() & gc::detail::stores_are_verified) != 0; };
  const bool before = verifies();
  {
    const gc::heap first({.name = "first", .verify = true});
    {
      const gc::heap second({.name = "second", .verify = true});
      EXPECT_TRUE(verifies());
    }
    EXPECT_TRUE(verifies());
  }
  EXPECT_EQ(verifies(), before);
  EXPECT_FALSE(before);
}

INSTANTIATE_TEST_SUITE_P(plans, faults, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_faults_tests
