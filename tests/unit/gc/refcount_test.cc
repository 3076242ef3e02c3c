// What counts free without tracing, and what waits for a full cycle.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"

using namespace tenure;

namespace gc_refcount_tests {
namespace {

struct item {
  gc::member<item> links[3];
  std::uint64_t id = 0;
};
struct holder {
  gc::vector<gc::member<item>> items;
  gc::atomic_member<item> shared;
  gc::ephemeron<item, item> pair;
};
struct tracked {
  ~tracked() { ++ended; }
  TENURE_GC_MEMBERS(tracked, child, peer);
  gc::member<item> child;
  gc::member<tracked> peer;
  static inline std::atomic<int> ended{0};
};

class refcount : public ::testing::Test {
 protected:
  gc::local<item> make(std::uint64_t id = 0) {
    gc::local<item> made = heap_.make<item>();
    made->id = id;
    return made;
  }
  // Old ones: a cycle has seen them.
  void age() { heap_.collect_young(); }
  std::size_t live() const { return heap_.statistics().live_objects; }

  gc::heap heap_{{.name = "counted", .plan = gc::plan::refcount, .verify = true, .poison = true}};
};

TEST_F(refcount, old_garbage_goes_with_the_last_reference_to_it) {
  gc::root<item> first(make());
  for (int i = 0; i < 100; ++i) {
    gc::local<item> next = make();
    next->links[0] = first.get();
    first = next.get();
  }
  age();
  EXPECT_EQ(live(), 101u);
  const std::uint64_t marked_before = heap_.statistics().marked_objects;
  first = first->links[0].get();
  heap_.collect_young();
  EXPECT_EQ(live(), 100u);
  first->links[0] = nullptr;
  heap_.collect_young();
  EXPECT_EQ(live(), 1u);
  EXPECT_EQ(heap_.statistics().marked_objects, marked_before);
  EXPECT_EQ(heap_.statistics().full_cycles, 0u);
}

TEST_F(refcount, each_way_to_let_go_is_noticed) {
  const gc::local<holder> made = heap_.make<holder>();
  gc::local<item> key = make();
  made->pair.set(key, make());
  for (int i = 0; i < 10; ++i) made->items.push_back(make());
  made->shared.store(make());
  gc::local<item> node = make();
  node->links[0] = make();
  node->links[1] = make();
  age();
  EXPECT_EQ(live(), 18u);  // with the storage of the vector
  made->items.pop_back();
  made->items.erase(made->items.begin());
  age();
  EXPECT_EQ(live(), 16u);
  made->items.clear();
  made->shared.store(nullptr);
  age();
  EXPECT_EQ(live(), 7u);
  node->links[2] = std::move(node->links[1]);
  node->links[0] = node->links[2];
  age();
  EXPECT_EQ(live(), 6u);
  made->shared.store(node->links[0]);
  made->shared.exchange(nullptr);
  made->pair.clear();
  age();
  age();
  EXPECT_EQ(live(), 5u);
  key = nullptr;
  node = nullptr;
  age();
  EXPECT_EQ(live(), 2u);
}

TEST_F(refcount, rings_wait_for_a_full_cycle) {
  gc::local<item> a = make();
  a->links[0] = make();
  a->links[0]->links[0] = a;
  a->links[1] = make();
  age();
  const gc::weak<item> weakly(a);
  a = nullptr;
  for (int i = 0; i < 3; ++i) heap_.collect_young();
  EXPECT_EQ(live(), 3u);
  EXPECT_FALSE(weakly.expired());
  heap_.collect();
  EXPECT_EQ(live(), 0u);
  EXPECT_TRUE(weakly.expired());
}

TEST_F(refcount, a_key_that_dies_empties_its_pair_and_the_value_goes) {
  const gc::local<holder> made = heap_.make<holder>();
  gc::local<item> key = make();
  made->pair.set(key, make(7));
  age();
  EXPECT_EQ(made->pair.value()->id, 7u);
  key = nullptr;
  heap_.collect_young();
  EXPECT_EQ(made->pair.key(), nullptr);
  heap_.collect_young();
  EXPECT_EQ(live(), 1u);
}

TEST_F(refcount, what_a_destructor_may_look_at_lives_until_it_has_run) {
  tracked::ended = 0;
  gc::local<tracked> dying = heap_.make<tracked>();
  gc::root<item> shared(make(5));
  dying->child = shared.get();
  dying->peer = heap_.make<tracked>();
  age();
  dying = nullptr;
  heap_.collect_young();
  heap_.wait_for_destructors();
  EXPECT_EQ(tracked::ended, 2);
  heap_.collect_young();
  EXPECT_EQ(live(), 1u);
  shared = nullptr;
  heap_.collect_young();
  EXPECT_EQ(live(), 0u);
}

TEST_F(refcount, a_guardian_brings_back_what_it_leads_to) {
  gc::guardian<item> guardian;
  gc::local<item> guarded = make(1);
  guarded->links[0] = make(2);
  guarded->links[0]->links[0] = make(3);
  guardian.guard(guarded);
  age();
  guarded = nullptr;
  heap_.collect_young();
  for (int i = 0; i < 3; ++i) heap_.collect_young();
  EXPECT_EQ(live(), 3u);
  guarded = guardian.take();
  ASSERT_NE(guarded, nullptr);
  heap_.collect_young();
  EXPECT_EQ(guarded->links[0]->links[0]->id, 3u);
  guarded->links[0] = nullptr;
  heap_.collect_young();
  EXPECT_EQ(live(), 1u);
}

// Links lead from higher numbers to lower ones, so there are no rings: counts alone find all that is dead.
TEST_F(refcount, random_graphs_without_rings_are_exact_after_each_young_cycle) {
  constexpr std::uint64_t none = ~std::uint64_t{0};
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    test::dice dice(seed);
    std::vector<gc::root<item>> roots;
    std::vector<std::array<std::uint64_t, 3>> links;
    std::vector<gc::weak<item>> weak;
    for (int step = 0; step < 4000; ++step) {
      const auto any = [&]() -> gc::root<item>& { return roots[dice.below(static_cast<std::uint32_t>(roots.size()))]; };
      if (roots.size() < 4 || dice.one_in(4)) {
        const gc::local<item> made = make(weak.size());
        weak.emplace_back(made);
        links.push_back({none, none, none});
        roots.emplace_back(made);
      } else if (dice.one_in(4)) {
        std::swap(any(), roots.back());
        roots.pop_back();
      } else {
        const gc::local<item> from(any());
        const std::uint32_t slot = dice.below(3);
        const gc::local<item> to = dice.one_in(3) ? nullptr : gc::local<item>(any());
        if (to != nullptr && to->id >= from->id) continue;
        from->links[slot] = to;
        links[from->id][slot] = to == nullptr ? none : to->id;
      }
      if (step % 97 != 0) continue;
      heap_.collect_young();
      std::set<std::uint64_t> reached;
      std::vector<std::uint64_t> waiting;
      for (const gc::root<item>& each : roots) waiting.push_back(each->id);
      while (!waiting.empty()) {
        const std::uint64_t id = waiting.back();
        waiting.pop_back();
        if (id != none && reached.insert(id).second) waiting.insert(waiting.end(), links[id].begin(), links[id].end());
      }
      for (std::uint64_t id = 0; id < weak.size(); ++id) ASSERT_EQ(weak[id].expired(), !reached.contains(id)) << seed;
      ASSERT_EQ(live(), reached.size());
    }
    roots.clear();
    heap_.collect_young();
    ASSERT_EQ(live(), 0u);
  }
  EXPECT_EQ(heap_.statistics().full_cycles, 0u);
}

// Another heap gets the blocks of one that counted.
TEST(refcount_heaps, leave_nothing_behind) {
  for (int round = 0; round < 5; ++round) {
    gc::heap heap({.name = "short", .plan = gc::plan::refcount, .verify = true, .poison = true});
    gc::root<gc::array<gc::member<item>>> large(heap.make_array<gc::member<item>>(20'000));
    for (std::size_t i = 0; i < 5000; ++i) {
      (*large)[i] = heap.make<item>();
      (*large)[i]->links[0] = (*large)[i / 2];
    }
    heap.collect_young();
    EXPECT_EQ(heap.statistics().live_objects, 5001u);
    for (std::size_t i = 0; i < 5000; i += 2) (*large)[i] = nullptr;
    heap.collect_young();
    heap.collect();
    heap.collect_young();
    if (round % 2 == 0) large = nullptr;
    large = nullptr;
  }
}

// Cells lie where a large object began before; the blocks behind them are another heap's, which goes on counting.
TEST(refcount_heaps, take_nothing_along_when_they_go) {
  gc::heap stays({.name = "stays", .plan = gc::plan::refcount, .verify = true, .poison = true});
  std::vector<gc::root<item>> roots;
  {
    gc::heap goes({.name = "goes", .plan = gc::plan::refcount, .verify = true, .poison = true});
    goes.make_array<gc::member<item>>(100'000);
    goes.collect();
    const gc::root<item> small(goes.make<item>());
    for (int i = 0; i < 10'000; ++i) {
      roots.emplace_back(stays.make<item>());
      roots.back()->links[0] = roots[(roots.size() - 1) / 2].get();  // the first alone is a ring
    }
    stays.collect_young();
  }
  stays.collect_young();
  roots.resize(1);
  stays.collect_young();
  EXPECT_EQ(stays.statistics().live_objects, 1u);
}

}  // namespace
}  // namespace gc_refcount_tests
