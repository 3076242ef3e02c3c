// What threads make known while a collector marks: each object once however often it is stored, none lost past the
// ring, and a handshake that comes to an end whatever threads are in. The tests play the collector.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/cycle.h"
#include "library/gc/sweep.h"

using namespace tenure;

namespace gc_shade_tests {
namespace {

struct item {
  gc::member<item> next;
  int value = 0;
};

// The state between the first handshake of a cycle and its first mark: threads shade, nobody takes.
class marking_begun {
 public:
  explicit marking_begun(gc::heap& heap) : guard_(gc::cycle_lock()), heap_(heap.state()) {
    gc::clear_marks(heap_);
    gc::set_active_heap(&heap_);
    gc::set_phase(gc::phase::marking);
    gc::handshake();
  }
  ~marking_begun() {
    gc::set_phase(gc::phase::idle);
    gc::handshake();
    gc::set_active_heap(nullptr);
    gc::clear_marks(heap_);
  }
  // How often each address comes out.
  std::map<void*, int> take() {
    std::map<void*, int> taken;
    gc::take_shaded(heap_, [&](void* target) { ++taken[gc::window::get().place(target).cell]; });
    return taken;
  }

 private:
  gc::holding guard_;
  gc::heap_state& heap_;
};

class shade : public ::testing::Test {
 protected:
  std::vector<gc::root<item>> make(std::size_t count) {
    std::vector<gc::root<item>> made;
    for (std::size_t i = 0; i < count; ++i) made.emplace_back(heap_.make<item>());
    return made;
  }
  gc::heap heap_{{.name = "shaded"}};
};

TEST_F(shade, an_object_is_made_known_once_in_a_cycle_by_whoever_stores_it) {
  const auto items = make(1);
  const gc::local<item> held(items[0]);
  for (int cycle = 0; cycle < 3; ++cycle) {
    marking_begun marking(heap_);
    const std::uint64_t before = gc::shade_count();
    gc::local<item> again;
    for (int i = 0; i < 100'000; ++i) again = held;
    std::thread([&] { const gc::local<item> others(items[0]); }).join();
    const std::map<void*, int> taken = marking.take();
    EXPECT_EQ(gc::shade_count() - before, 1u);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken.begin()->second, 1);
    for (int i = 0; i < 1000; ++i) again = held;
    EXPECT_TRUE(marking.take().empty()) << "taken, and not marked yet";
  }
}

TEST_F(shade, what_does_not_fit_into_the_ring_is_not_lost) {
  const auto items = make(5 * gc::shade_ring::capacity);
  const gc::root<gc::array<gc::member<item>>> large(heap_.make_array<gc::member<item>>(100'000));
  marking_begun marking(heap_);
  for (const gc::root<item>& each : items) const gc::local<item> held(each);
  const gc::local<gc::array<gc::member<item>>> held(large);
  const std::map<void*, int> taken = marking.take();
  // What is in the ring is found by its bit as well.
  EXPECT_EQ(taken.size(), items.size() + 1);
  for (const auto& [cell, times] : taken) EXPECT_LE(times, 2);
  for (const gc::root<item>& each : items) EXPECT_TRUE(taken.contains(gc::window::get().place(each.get()).cell));
  EXPECT_TRUE(taken.contains(gc::window::get().place(large.get()).cell));
}

TEST_F(shade, what_a_thread_that_has_ended_made_known_is_not_lost) {
  const auto items = make(10);
  marking_begun marking(heap_);
  std::thread([&] {
    for (const gc::root<item>& each : items) const gc::local<item> held(each);
  }).join();
  EXPECT_EQ(marking.take().size(), items.size());
}

// It is in an operation whenever the collector looks, but not always in the same one.
TEST(handshake, passes_a_thread_that_goes_from_operation_to_operation) {
  std::atomic<int> step{0};
  std::thread mutator([&] {
    {
      const gc::detail::operation first;
      step = 1;
      while (step != 2) std::this_thread::yield();
    }
    const gc::detail::operation second;
    step = 3;
    while (step != 4) std::this_thread::yield();
  });
  while (step != 1) std::this_thread::yield();
  const auto was_asked = [] {
    const gc::holding guard(gc::threads_lock());
    for (gc::thread_state* at = gc::first_thread(); at != nullptr; at = at->next) {
      if (at->operations.load() % 2 == 1) return at->asked;
    }
    return 0u;
  };
  const std::uint32_t asked_before = was_asked();
  std::atomic<bool> passed{false};
  std::thread collector([&] {
    const gc::holding guard(gc::cycle_lock());
    gc::handshake();
    passed = true;
  });
  while (was_asked() == asked_before) std::this_thread::yield();
  EXPECT_FALSE(passed) << "the thread is in the operation of the beginning";
  step = 2;
  while (step != 3) std::this_thread::yield();
  collector.join();
  EXPECT_EQ(step, 3) << "the second operation goes on";
  step = 4;
  mutator.join();
}

}  // namespace
}  // namespace gc_shade_tests
