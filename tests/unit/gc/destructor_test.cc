// Destructors: when they run, where, and what a dying object sees.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_destructor_tests {
namespace {

struct quiet {
  gc::member<quiet> next;
  int value = 0;
};
static_assert(std::is_trivially_destructible_v<quiet>);

// Tells what it saw in its destructor.
struct teller {
  ~teller() {
    if (log == nullptr) return;
    log->thread = std::this_thread::get_id();
    log->peer_alive = peer != nullptr;
    log->peer_value = peer != nullptr ? peer->value : 0;
    log->partner_alive = partner != nullptr;
    log->times.fetch_add(1);
  }
  struct record {
    std::thread::id thread;
    bool peer_alive = false;
    int peer_value = 0;
    bool partner_alive = false;
    std::atomic<int> times{0};
  };
  TENURE_GC_MEMBERS(teller, peer, partner, text, log);
  gc::member<quiet> peer;
  gc::member<teller> partner;
  std::string text = "some text that is too long for the string itself";
  record* log = nullptr;
};

class destructor : public ::testing::TestWithParam<gc::plan> {
 protected:
  void finish() {
    heap_.collect();
    heap_.wait_for_destructors();
  }
  test::any_heap heap_{{.name = "destructors", .plan = GetParam(), .verify = true}};
};

TEST_P(destructor, runs_once_on_another_thread_when_the_object_is_gone) {
  teller::record log;
  {
    const gc::local<teller> one = heap_.make<teller>();
    one->log = &log;
    finish();
    EXPECT_EQ(log.times, 0);
  }
  finish();
  EXPECT_EQ(log.times, 1);
  EXPECT_NE(log.thread, std::this_thread::get_id());
  finish();
  EXPECT_EQ(log.times, 1);
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

TEST_P(destructor, a_living_peer_is_whole_and_stays_until_it_has_run) {
  teller::record log;
  gc::root<quiet> peer(heap_.make<quiet>());
  peer->value = 77;
  {
    const gc::local<teller> one = heap_.make<teller>();
    one->log = &log;
    one->peer = peer.get();
  }
  finish();
  EXPECT_TRUE(log.peer_alive);
  EXPECT_EQ(log.peer_value, 77);
}

TEST_P(destructor, peers_that_die_with_it_are_null_also_in_rings) {
  teller::record logs[2];
  {
    const gc::local<teller> one = heap_.make<teller>();
    const gc::local<teller> two = heap_.make<teller>();
    one->log = &logs[0];
    two->log = &logs[1];
    one->partner = two;
    two->partner = one;
    one->peer = heap_.make<quiet>();
  }
  finish();
  for (const teller::record& log : logs) {
    EXPECT_EQ(log.times, 1);
    EXPECT_FALSE(log.partner_alive);
    EXPECT_FALSE(log.peer_alive);
  }
}

TEST_P(destructor, trivially_destroyed_objects_have_none) {
  for (int i = 0; i < 1000; ++i) heap_.make<quiet>()->next = heap_.make<quiet>();
  finish();
  EXPECT_EQ(heap_.statistics().destroyed, 0u);
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

TEST_P(destructor, each_element_of_an_array_is_destroyed) {
  std::vector<teller::record> logs(50);
  {
    const auto row = heap_.make_array<teller>(logs.size());
    for (std::size_t i = 0; i < logs.size(); ++i) (*row)[i].log = &logs[i];
  }
  finish();
  for (const teller::record& log : logs) EXPECT_EQ(log.times, 1);
}

struct maker {
  ~maker() {
    if (heap == nullptr) return;
    for (int i = 0; i < 100; ++i) heap->make<quiet>()->next = heap->make<quiet>();
    *kept = heap->make<quiet>();
  }
  TENURE_GC_MEMBERS(maker, heap, kept);
  gc::heap* heap = nullptr;
  gc::root<quiet>* kept = nullptr;
};
TEST_P(destructor, may_make_objects) {
  gc::root<quiet> kept;
  {
    const gc::local<maker> one = heap_.make<maker>();
    one->heap = &heap_;
    one->kept = &kept;
  }
  finish();
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 1u);
  EXPECT_NE(kept, nullptr);
}

// The cells of destroyed objects are used again, and what is made in them begins clean.
struct late_filler {
  explicit late_filler(gc::heap& heap) { heap.collect(); }
  ~late_filler() { text.clear(); }
  TENURE_GC_MEMBERS(late_filler, peer, text);
  gc::member<quiet> peer;
  std::string text;
};
TEST_P(destructor, cells_are_used_again_and_clean) {
  for (int round = 0; round < 20; ++round) {
    const gc::local<late_filler> one = heap_.make<late_filler>(heap_);
    const gc::local<late_filler> two = heap_.make<late_filler>(heap_);
    EXPECT_EQ(one->peer, nullptr);
    one->peer = heap_.make<quiet>();
    two->peer = one->peer;
    finish();
  }
  finish();
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
  EXPECT_EQ(heap_.statistics().destroyed, 40u);
}

TEST_P(destructor, those_left_run_when_the_heap_is_destroyed) {
  teller::record log;
  {
    test::any_heap short_lived({.name = "short", .plan = GetParam()});
    short_lived.make<teller>()->log = &log;
    gc::local<teller> kept = short_lived.make<teller>();
    kept->log = &log;
    kept = nullptr;
  }
  EXPECT_EQ(log.times, 2);
}

struct heap_owner {
  ~heap_owner() { delete owned; }
  TENURE_GC_MEMBERS(heap_owner, owned);
  gc::heap* owned = nullptr;
};
TEST(destructor_death_test, a_heap_that_a_managed_object_destroys_ends_the_program) {
  EXPECT_DEATH(
      {
        gc::heap heap({.name = "outer"});
        heap.make<heap_owner>()->owned = new gc::heap({.name = "inner"});
        heap.collect();
        heap.wait_for_destructors();
      },
      "gc::heap \"inner\" was destroyed by the destructor of a managed object");
}

INSTANTIATE_TEST_SUITE_P(plans, destructor, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_destructor_tests
