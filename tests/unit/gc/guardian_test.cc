// guardian<T> and pin<T>: a test for each sentence of the contract (include/tenure/gc/guardian.hpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"
#include "unit/gc/plans.h"
#include "unit/gc/restless_collector.h"

using namespace tenure;

namespace gc_guardian_tests {
namespace {

constexpr std::uint64_t intact = 0x1234567890abcdef;

struct item {
  ~item() {
    if (destroyed != nullptr) destroyed->fetch_add(1);
  }
  TENURE_GC_MEMBERS(item, next, value, destroyed);
  gc::member<item> next;
  std::uint64_t value = intact;
  std::atomic<int>* destroyed = nullptr;
};

class guardian : public ::testing::TestWithParam<gc::plan> {
 protected:
  gc::local<item> make() {
    gc::local<item> made = heap_.make<item>();
    made->destroyed = &destroyed_;
    return made;
  }
  void settle() {
    for (int i = 0; i < 3; ++i) {
      heap_.collect();
      heap_.wait_for_destructors();
    }
  }

  test::any_heap heap_{{.name = "guardian", .plan = GetParam(), .verify = true, .poison = true}};
  std::atomic<int> destroyed_{0};
};

TEST_P(guardian, sentence_1_gives_back_what_was_unreachable_with_all_it_leads_to) {
  gc::guardian<item> keeper;
  gc::local<item> object = make();
  object->next = make();
  object->next->next = object;
  keeper.guard(object);
  object = nullptr;
  EXPECT_EQ(keeper.take(), nullptr);
  settle();
  const gc::local<item> back = keeper.take();
  ASSERT_TRUE(back);
  EXPECT_EQ(keeper.take(), nullptr);
  settle();
  EXPECT_EQ(back->value, intact);
  EXPECT_EQ(back->next->value, intact);
  EXPECT_EQ(back->next->next, back);
  EXPECT_EQ(destroyed_.load(), 0);
}

TEST_P(guardian, sentence_2_does_not_give_back_what_is_reachable_nor_keep_it) {
  gc::guardian<item> keeper;
  const gc::local<item> held = make();
  keeper.guard(held);
  {
    gc::guardian<item> other;
    other.guard(make());
  }
  settle();
  EXPECT_EQ(keeper.take(), nullptr);
  EXPECT_EQ(destroyed_.load(), 1);
}

TEST_P(guardian, sentence_3_the_destructor_waits_for_the_second_death) {
  gc::guardian<item> keeper;
  keeper.guard(make());
  settle();
  EXPECT_EQ(destroyed_.load(), 0);
  keeper.take();
  EXPECT_EQ(destroyed_.load(), 0);
  settle();
  EXPECT_EQ(destroyed_.load(), 1);
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

TEST_P(guardian, sentence_4_guarded_again_it_is_given_back_again) {
  gc::guardian<item> keeper;
  keeper.guard(make());
  for (int i = 0; i < 5; ++i) {
    settle();
    const gc::local<item> back = keeper.take();
    ASSERT_TRUE(back);
    ASSERT_EQ(back->value, intact);
    keeper.guard(back);
  }
  EXPECT_EQ(destroyed_.load(), 0);
}

TEST_P(guardian, sentence_5_gives_back_together_what_dies_together) {
  gc::guardian<item> keeper;
  gc::local<item> first = make();
  first->next = make();
  first->next->next = make();
  std::set<item*> expected;
  for (gc::local<item> at = first; at; at = at->next) {
    keeper.guard(at);
    expected.insert(at.get());
  }
  first = nullptr;
  heap_.collect();
  std::set<item*> given;
  while (const gc::local<item> back = keeper.take()) given.insert(back.get());
  EXPECT_EQ(given, expected);
}

TEST_P(guardian, sentence_6_weak_references_stay_null) {
  gc::guardian<item> keeper;
  gc::local<item> object = make();
  object->next = make();
  const gc::weak<item> outer(object);
  const gc::weak<item> inner(object->next);
  keeper.guard(object);
  object = nullptr;
  heap_.collect();
  const gc::local<item> back = keeper.take();
  EXPECT_TRUE(outer.expired() && inner.expired());
  const gc::weak<item> again(back);
  settle();
  EXPECT_TRUE(outer.expired() && inner.expired());
  EXPECT_EQ(again.lock(), back);
}

TEST_P(guardian, sentence_7_gives_back_as_often_as_it_was_guarded) {
  gc::guardian<item> one;
  gc::guardian<item> two;
  gc::local<item> object = make();
  one.guard(object);
  one.guard(object);
  two.guard(object);
  object = nullptr;
  settle();
  EXPECT_TRUE(one.take() && one.take() && two.take());
  EXPECT_FALSE(one.take() || two.take());
}

TEST_P(guardian, sentence_8_one_that_is_destroyed_lets_go) {
  {
    gc::guardian<item> keeper;
    keeper.guard(make());
    settle();  // in the queue
    keeper.guard(make());
  }
  settle();
  EXPECT_EQ(destroyed_.load(), 2);
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

TEST_P(guardian, sentence_9_a_heap_that_is_destroyed_gives_nothing_back) {
  gc::guardian<item> keeper;
  auto heap = std::make_unique<test::any_heap>(gc::heap_options{.name = "short", .plan = GetParam()});
  {
    const gc::local<item> made = heap->make<item>();
    made->destroyed = &destroyed_;
    keeper.guard(made);
  }
  heap.reset();
  EXPECT_EQ(keeper.take(), nullptr);
  EXPECT_EQ(destroyed_.load(), 1);
}

TEST_P(guardian, guards_a_part_of_an_object) {
  gc::guardian<std::uint64_t> keeper;
  keeper.guard(gc::local<std::uint64_t>(&make()->value));
  settle();
  EXPECT_EQ(*keeper.take(), intact);
}

// A cell that is used again has nothing of what was beside the one before.
TEST_P(guardian, nothing_is_left_beside_a_cell_that_is_used_again) {
  gc::guardian<item> keeper;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) {
      const gc::local<item> made = make();
      if (i % 3 == round % 3) keeper.guard(made);
    }
    heap_.collect();
    int given = 0;
    while (keeper.take()) ++given;
    ASSERT_EQ(given, round % 3 == 0 ? 34 : 33);
    settle();
    ASSERT_EQ(keeper.take(), nullptr);
  }
}

// Threads pass objects to the guardian and take them from it, while a collector never rests: none is lost, none is
// destroyed under way, and each comes back whole.
TEST_P(guardian, objects_go_round_through_it) {
  if (test::named(GetParam()).moves) GTEST_SKIP() << "such a heap is for one thread";
  gc::guardian<item> keeper;
  constexpr int count = 64;
  for (int i = 0; i < count; ++i) {
    const gc::local<item> made = make();
    made->next = make();
    keeper.guard(made);
  }
  test::restless_collector collector(heap_);
  std::vector<std::thread> threads;
  std::atomic<int> taken{0};
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (taken < 2000) {
        const gc::local<item> back = keeper.take();
        if (!back) {
          std::this_thread::yield();
          continue;
        }
        ++taken;
        EXPECT_EQ(back->value, intact);
        EXPECT_EQ(back->next->value, intact);
        EXPECT_EQ(back->next->next, nullptr);
        keeper.guard(back);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  collector.stop();
  EXPECT_EQ(destroyed_.load(), 0);
  settle();
  int left = 0;
  while (keeper.take()) ++left;
  EXPECT_EQ(left, count);
  settle();
  EXPECT_EQ(destroyed_.load(), 2 * count);
}

TEST_P(guardian, a_pin_keeps_an_object_where_it_is) {
  gc::pin<item> pinned(make());
  item* const address = pinned.get();
  for (int i = 0; i < 100; ++i) make();
  settle();
  EXPECT_EQ(address->value, intact);
  const gc::pin<item> moved = std::move(pinned);
  settle();
  EXPECT_EQ(moved.get(), address);
  EXPECT_FALSE(pinned);
  EXPECT_EQ(moved->value, intact);
  EXPECT_EQ(destroyed_.load(), 100);
}

INSTANTIATE_TEST_SUITE_P(plans, guardian, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_guardian_tests
