// weak<T>: a test for each sentence of its contract (include/tenure/gc/weak.hpp).
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "support/rounds.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_weak_tests {
namespace {

struct item {
  gc::member<item> next;
  int value = 0;
};
struct holder {
  gc::weak<item> target;
  std::vector<gc::weak<item>> more;
};

class weak : public ::testing::TestWithParam<gc::plan> {
 protected:
  test::any_heap heap_{{.name = "weak", .plan = GetParam(), .verify = true, .poison = true}};
};

TEST_P(weak, sentence_1_returns_the_object_while_something_else_keeps_it) {
  gc::local<item> strong = heap_.make<item>();
  strong->value = 5;
  const gc::weak<item> reference(strong);
  heap_.collect();
  EXPECT_EQ(reference.lock()->value, 5);
  EXPECT_EQ(reference.lock(), strong);
  EXPECT_FALSE(reference.expired());
}

TEST_P(weak, sentence_2_what_it_returns_keeps_the_object) {
  gc::local<item> strong = heap_.make<item>();
  const gc::weak<item> reference(strong);
  const gc::local<item> locked = reference.lock();
  strong = nullptr;
  heap_.collect();
  EXPECT_EQ(reference.lock(), locked);
}

TEST_P(weak, sentence_3_null_is_for_ever_and_for_all) {
  gc::local<item> strong = heap_.make<item>();
  const gc::weak<item> one(strong);
  const gc::weak<item> two(strong);
  const gc::weak<item> copy = one;
  strong = nullptr;
  heap_.collect();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(one.lock(), nullptr);
    EXPECT_EQ(two.lock(), nullptr);
    EXPECT_EQ(copy.lock(), nullptr);
    // Whoever gets the memory now is not who was meant.
    const gc::local<item> other = heap_.make<item>();
    heap_.collect();
  }
}

struct watcher {
  ~watcher() { *was_null = self.expired(); }
  TENURE_GC_MEMBERS(watcher, self, was_null);
  gc::weak<watcher> self;
  std::atomic<int>* was_null = nullptr;
};
TEST_P(weak, sentence_4_is_null_before_the_destructor_runs) {
  std::atomic<int> was_null{-1};
  gc::local<watcher> strong = heap_.make<watcher>();
  strong->self = strong;
  strong->was_null = &was_null;
  strong = nullptr;
  heap_.collect();
  heap_.wait_for_destructors();
  EXPECT_EQ(was_null.load(), 1);
}

TEST_P(weak, sentence_5_a_cycle_makes_it_certain) {
  gc::local<item> strong = heap_.make<item>();
  strong->next = strong;  // a ring keeps nothing
  const gc::weak<item> reference(strong);
  strong = nullptr;
  heap_.collect();
  EXPECT_EQ(reference.lock(), nullptr);
  EXPECT_TRUE(reference.expired());
}

TEST_P(weak, sentence_6_objects_that_die_together_become_null_together) {
  for (int round = 0; round < test::rounds(200); ++round) {
    gc::root<item> first(heap_.make<item>());
    first->next = heap_.make<item>();
    const gc::weak<item> a{gc::local<item>(first)};
    const gc::weak<item> b(first->next);
    std::atomic<bool> stop{false};
    std::atomic<bool> wrong{false};
    std::thread reader([&] {
      while (!stop) {
        // Without holding b: what the reader holds does not die with a.
        if (a.lock() == nullptr && !b.expired()) wrong = true;
        if (b.expired() && a.lock() != nullptr) wrong = true;
      }
    });
    first = nullptr;
    for (int i = 0; i < 3; ++i) heap_.collect();
    stop = true;
    reader.join();
    ASSERT_FALSE(wrong);
  }
}

TEST_P(weak, sentence_7_may_live_anywhere) {
  static gc::weak<item> global;
  const gc::local<item> strong = heap_.make<item>();
  global = strong;
  const gc::local<holder> managed = heap_.make<holder>();
  managed->target = strong;
  for (int i = 0; i < 10; ++i) managed->more.emplace_back(strong);
  heap_.collect();
  EXPECT_EQ(global.lock(), strong);
  EXPECT_EQ(managed->target.lock(), strong);
  EXPECT_EQ(managed->more[9].lock(), strong);
  global = nullptr;
}

TEST_P(weak, points_into_an_object_or_to_a_base_of_it) {
  gc::local<item> strong = heap_.make<item>();
  strong->value = 9;
  const gc::weak<int> part(gc::local<int>(&strong->value));
  EXPECT_EQ(*part.lock(), 9);
  strong = nullptr;
  heap_.collect();
  EXPECT_EQ(part.lock(), nullptr);
}

// Locks race with the end of the object: a lock that gives it out gives it out whole.
TEST_P(weak, locks_race_with_cycles) {
  for (int round = 0; round < test::rounds(100); ++round) {
    gc::root<item> strong(heap_.make<item>());
    strong->value = 1234;
    const gc::weak<item> reference{gc::local<item>(strong)};
    std::thread collector([&] {
      for (int i = 0; i < 3; ++i) heap_.collect();
    });
    std::thread dropper([&] { strong = nullptr; });
    bool seen_null = false;
    for (int i = 0; i < 300; ++i) {
      const gc::local<item> alive = reference.lock();
      if (alive) {
        ASSERT_FALSE(seen_null);
        ASSERT_EQ(alive->value, 1234);
      } else {
        seen_null = true;
      }
    }
    collector.join();
    dropper.join();
    heap_.collect();
    ASSERT_TRUE(reference.expired());
  }
}

INSTANTIATE_TEST_SUITE_P(plans, weak, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_weak_tests
