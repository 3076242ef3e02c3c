// phantom<T> and its queue: a test for each sentence of the contract (include/tenure/gc/phantom.hpp).
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/cycle.h"
#include "library/gc/sweep.h"
#include "library/gc/watches.h"
#include "unit/gc/plans.h"
#include "unit/gc/restless_collector.h"

using namespace tenure;

namespace gc_phantom_tests {
namespace {

struct plain {
  gc::member<plain> next;
};
struct ended {
  ~ended() { order->fetch_add(1); }
  TENURE_GC_MEMBERS(ended, order, next);
  std::atomic<int>* order = nullptr;
  gc::member<ended> next;
};

class phantom : public ::testing::TestWithParam<gc::plan> {
 protected:
  test::any_heap heap_{{.name = "phantom", .plan = GetParam(), .verify = true, .poison = true}};
  std::atomic<int> destroyed_{0};

  gc::local<ended> make_ended() {
    gc::local<ended> made = heap_.make<ended>();
    made->order = &destroyed_;
    return made;
  }
};

TEST_P(phantom, sentence_1_tells_when_the_object_is_gone) {
  gc::phantom_queue<std::string> queue;
  gc::local<plain> object = heap_.make<plain>();
  gc::local<ended> with_destructor = make_ended();
  const gc::phantom<plain> one(object, queue, "plain");
  const gc::phantom<ended> two(with_destructor, queue, "ended");
  heap_.collect();
  EXPECT_EQ(queue.take(), std::nullopt);
  EXPECT_FALSE(one.is_over());
  object = nullptr;
  heap_.collect();
  EXPECT_TRUE(one.is_over());
  EXPECT_EQ(queue.take(), "plain");
  EXPECT_EQ(queue.take(), std::nullopt);
  with_destructor = nullptr;
  heap_.collect();
  heap_.wait_for_destructors();
  heap_.collect();
  EXPECT_EQ(destroyed_.load(), 1);
  EXPECT_EQ(queue.take(), "ended");
  EXPECT_TRUE(two.is_over());
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

// The destructor is held up: nobody is told meanwhile.
struct slow {
  ~slow() { go->wait(false); }
  TENURE_GC_MEMBERS(slow, go);
  std::atomic<bool>* go = nullptr;
};
TEST_P(phantom, sentence_1_waits_for_the_destructor) {
  std::atomic<bool> go{false};
  gc::phantom_queue<int> queue;
  gc::local<slow> object = heap_.make<slow>();
  object->go = &go;
  const gc::phantom<slow> end(object, queue, 1);
  object = nullptr;
  for (int i = 0; i < 3; ++i) heap_.collect();
  EXPECT_EQ(queue.take(), std::nullopt);
  EXPECT_FALSE(end.is_over());
  go = true;
  go.notify_all();
  heap_.wait_for_destructors();
  heap_.collect();
  EXPECT_EQ(queue.take(), 1);
}

TEST_P(phantom, sentence_2_weak_references_are_null_by_then) {
  gc::phantom_queue<int> queue;
  std::vector<gc::weak<plain>> weak;
  std::vector<gc::phantom<plain>> phantoms;
  for (int i = 0; i < 500; ++i) {
    const gc::local<plain> made = heap_.make<plain>();
    weak.emplace_back(made);
    phantoms.emplace_back(made, queue, i);
  }
  std::atomic<int> told{0};
  std::thread listener([&] {
    for (; told < 500; ++told) {
      const int which = queue.wait();
      EXPECT_TRUE(weak[static_cast<std::size_t>(which)].expired());
    }
  });
  heap_.collect();
  listener.join();
  EXPECT_EQ(told.load(), 500);
}

TEST_P(phantom, sentence_3_tells_each_once) {
  gc::phantom_queue<int> numbers;
  gc::phantom_queue<std::unique_ptr<int>> pointers;
  gc::local<plain> object = heap_.make<plain>();
  const gc::phantom<plain> a(object, numbers, 1);
  const gc::phantom<plain> b(object, numbers, 2);
  const gc::phantom<plain> c(object, pointers, std::make_unique<int>(3));
  object = nullptr;
  for (int i = 0; i < 3; ++i) heap_.collect();
  std::optional<int> first = numbers.take();
  std::optional<int> second = numbers.take();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first + *second, 3);
  EXPECT_EQ(numbers.take(), std::nullopt);
  EXPECT_EQ(**pointers.take(), 3);
  EXPECT_EQ(pointers.take(), std::nullopt);
}

TEST_P(phantom, sentence_4_one_that_is_destroyed_tells_nothing) {
  gc::phantom_queue<int> queue;
  gc::local<plain> object = heap_.make<plain>();
  gc::phantom<plain> gone(object, queue, 1);
  gc::phantom<plain> stays(object, queue, 2);
  { const gc::phantom<plain> moved = std::move(gone); }
  EXPECT_TRUE(gone.is_over());
  object = nullptr;
  heap_.collect();
  EXPECT_EQ(queue.take(), 2);
  EXPECT_EQ(queue.take(), std::nullopt);
}

TEST_P(phantom, sentence_5_a_guardian_puts_the_end_off) {
  gc::phantom_queue<int> queue;
  gc::guardian<ended> guardian;
  gc::local<ended> object = make_ended();
  const gc::phantom<ended> end(object, queue, 1);
  guardian.guard(object);
  object = nullptr;
  heap_.collect();
  heap_.collect();
  EXPECT_EQ(queue.take(), std::nullopt);
  EXPECT_TRUE(guardian.take());
  heap_.collect();
  heap_.wait_for_destructors();
  heap_.collect();
  EXPECT_EQ(destroyed_.load(), 1);
  EXPECT_EQ(queue.take(), 1);
}

TEST_P(phantom, sentence_6_a_queue_that_is_destroyed_is_told_nothing) {
  auto queue = std::make_unique<gc::phantom_queue<int>>();
  gc::local<plain> object = heap_.make<plain>();
  gc::local<plain> earlier = heap_.make<plain>();
  const gc::phantom<plain> told(earlier, *queue, 1);
  const gc::phantom<plain> end(object, *queue, 2);
  earlier = nullptr;
  heap_.collect();
  queue.reset();
  object = nullptr;
  heap_.collect();
  EXPECT_TRUE(told.is_over());
  EXPECT_TRUE(end.is_over());
}

// What a note does when it goes is its own affair: it may collect, which needs all that a cycle holds.
struct collecting_note {
  explicit collecting_note(gc::heap& of) : heap(&of) {}
  collecting_note(collecting_note&& from) noexcept : heap(std::exchange(from.heap, nullptr)) {}
  ~collecting_note() {
    if (heap == nullptr) return;
    heap->collect();
    gone.fetch_add(1);
  }
  gc::heap* heap;
  static inline std::atomic<int> gone{0};
};
TEST_P(phantom, a_note_that_nobody_is_told_of_ends_outside_of_the_cycle) {
  auto queue = std::make_unique<gc::phantom_queue<collecting_note>>();
  gc::phantom<plain> end(heap_.make<plain>(), *queue, collecting_note(heap_));
  const int before = collecting_note::gone;
  {
    const gc::holding guard(gc::cycle_lock());
    gc::watch* dead;
    {
      const gc::stopped_world stopped(nullptr);
      gc::clear_marks(heap_.state());
      dead = gc::take_phantoms(heap_.state());
    }
    ASSERT_NE(dead, nullptr);
    // Queue and phantom go while the cycle has it in hand.
    queue.reset();
    end = {};
    gc::tell(dead);
    EXPECT_EQ(collecting_note::gone, before);
  }
  gc::end_abandoned();
  EXPECT_EQ(collecting_note::gone, before + 1);
}

TEST_P(phantom, sentence_7_a_heap_that_is_destroyed_tells_all) {
  gc::phantom_queue<int> queue;
  std::vector<gc::phantom<plain>> plains;
  std::vector<gc::phantom<ended>> endeds;
  auto heap = std::make_unique<test::any_heap>(gc::heap_options{.name = "short", .plan = GetParam()});
  for (int i = 0; i < 100; ++i) {
    plains.emplace_back(heap->make<plain>(), queue, i);
    const gc::local<ended> made = heap->make<ended>();
    made->order = &destroyed_;
    endeds.emplace_back(made, queue, 100 + i);
  }
  heap.reset();
  std::vector<bool> told(200);
  while (const std::optional<int> note = queue.take()) told[static_cast<std::size_t>(*note)] = true;
  EXPECT_EQ(std::count(told.begin(), told.end(), true), 200);
  EXPECT_EQ(destroyed_.load(), 100);
}

// Phantoms come and go in several threads while cycles end their objects: who has seen it over has been told.
TEST_P(phantom, races_with_its_end) {
  if (test::named(GetParam()).moves) GTEST_SKIP() << "such a heap is for one thread";
  gc::phantom_queue<int> queue;
  test::restless_collector collector(heap_);
  std::vector<std::thread> threads;
  std::atomic<int> kept{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::vector<gc::phantom<plain>> phantoms;
      for (int i = 0; i < 1000; ++i) {
        phantoms.emplace_back(heap_.make<plain>(), queue, 1);
        if (phantoms.size() < 32) continue;
        while (i % 50 == 0 && !phantoms.back().is_over()) std::this_thread::yield();
        kept += phantoms.front().is_over() ? 1 : 0;
        phantoms.erase(phantoms.begin());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  collector.stop();
  int told = 0;
  while (queue.take()) ++told;
  EXPECT_GE(told, kept.load());
  EXPECT_LE(told, 3000);
}

INSTANTIATE_TEST_SUITE_P(plans, phantom, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_phantom_tests
