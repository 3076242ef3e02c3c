// ephemeron<K, V> and weak_map<K, V>: a test for each sentence of the contract (include/tenure/gc/ephemeron.hpp), and
// random graphs of them against a search over plain numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/cycle.h"
#include "library/gc/ephemerons.h"
#include "library/gc/marker.h"
#include "library/gc/sweep.h"
#include "support/dice.h"
#include "support/rounds.h"
#include "unit/gc/plans.h"
#include "unit/gc/restless_collector.h"

using namespace tenure;

namespace gc_ephemeron_tests {
namespace {

constexpr std::uint64_t intact = 0x1234567890abcdef;

struct item {
  gc::member<item> next;
  std::uint64_t value = intact;
};
struct holder {
  gc::ephemeron<item, item> pair;
  gc::member<holder> next;
};

class ephemeron : public ::testing::TestWithParam<gc::plan> {
 protected:
  test::any_heap heap_{{.name = "ephemeron", .plan = GetParam(), .verify = true, .poison = true}};
  gc::local<holder> make_holder(const gc::local<item>& key, const gc::local<item>& value) {
    gc::local<holder> made = heap_.make<holder>();
    made->pair.set(key, value);
    return made;
  }
};

TEST_P(ephemeron, sentence_1_the_value_lives_while_key_and_holder_do) {
  gc::local<item> key = heap_.make<item>();
  gc::local<holder> held = make_holder(key, heap_.make<item>());
  const gc::weak<item> value(held->pair.value());
  for (int i = 0; i < 3; ++i) {
    heap_.collect();
    heap_.collect_young();
    ASSERT_EQ(held->pair.value()->value, intact);
    ASSERT_EQ(held->pair.key(), key);
    ASSERT_EQ(held->pair.value_of(key), value.lock());
    ASSERT_EQ(held->pair.value_of(value.lock()), nullptr);
  }
  held = nullptr;  // the key alone does not do
  heap_.collect();
  EXPECT_TRUE(value.expired());
}

TEST_P(ephemeron, sentence_2_keeps_no_key_not_even_through_its_value) {
  gc::local<item> key = heap_.make<item>();
  gc::local<item> value = heap_.make<item>();
  value->next = key;
  const gc::local<holder> held = make_holder(key, value);
  const gc::weak<item> weak_key(key);
  const gc::weak<item> weak_value(value);
  key = nullptr;
  value = nullptr;
  heap_.collect();
  EXPECT_TRUE(weak_key.expired());
  EXPECT_TRUE(weak_value.expired());
}

TEST_P(ephemeron, sentence_3_a_dead_key_leaves_an_empty_pair) {
  gc::local<item> key = heap_.make<item>();
  const gc::local<item> value = heap_.make<item>();  // alive by itself
  const gc::local<holder> held = make_holder(key, value);
  key = nullptr;
  heap_.collect();
  EXPECT_EQ(held->pair.key(), nullptr);
  EXPECT_EQ(held->pair.value(), nullptr);
  // And can be set again.
  key = heap_.make<item>();
  held->pair.set(key, value);
  heap_.collect();
  EXPECT_EQ(held->pair.value(), value);
  held->pair.clear();
  EXPECT_EQ(held->pair.key(), nullptr);
  EXPECT_EQ(held->pair.value_of(key), nullptr);
}

struct watcher;
struct watched_pair {
  gc::ephemeron<watcher, watcher> pair;
};
struct watcher {
  ~watcher() {
    if (seen != nullptr) *seen = weak_key.expired() && place->pair.key() == nullptr ? 1 : 0;
  }
  TENURE_GC_MEMBERS(watcher, weak_key, place, seen);
  gc::weak<watcher> weak_key;
  gc::member<watched_pair> place;
  std::atomic<int>* seen = nullptr;
};
TEST_P(ephemeron, sentence_4_is_empty_before_destructors_run) {
  std::atomic<int> seen_key{-1};
  std::atomic<int> seen_value{-1};
  const gc::local<watched_pair> held = heap_.make<watched_pair>();
  {
    const gc::local<watcher> key = heap_.make<watcher>();
    const gc::local<watcher> value = heap_.make<watcher>();
    for (const gc::local<watcher>& each : {key, value}) {
      each->weak_key = key;
      each->place = held;
    }
    key->seen = &seen_key;
    value->seen = &seen_value;
    held->pair.set(key, value);
  }
  heap_.collect();
  heap_.wait_for_destructors();
  EXPECT_EQ(seen_key.load(), 1);
  EXPECT_EQ(seen_value.load(), 1);
}

// Each value is the key of another pair, front to back, back to front and in a ring; far longer than passes are cheap.
TEST_P(ephemeron, sentence_5_chains_are_followed_to_their_end) {
  constexpr std::size_t length = 20'000;
  for (const bool forward : {true, false}) {
    // Without the verifier, which goes through all of them for each link.
    test::any_heap heap({.name = "chain", .plan = GetParam(), .poison = true});
    gc::root<item> first(heap.make<item>());
    std::vector<gc::weak<item>> items{gc::weak<item>(gc::local<item>(first))};
    const gc::local<gc::array<gc::ephemeron<item, item>>> pairs =
        heap.make_array<gc::ephemeron<item, item>>(length + 1);
    gc::local<item> at(first.get());
    for (std::size_t i = 0; i < length; ++i) {
      const gc::local<item> next = heap.make<item>();
      (*pairs)[forward ? i : length - i].set(at, next);
      items.emplace_back(next);
      at = next;
    }
    (*pairs)[forward ? length : 0].set(at, gc::local<item>(first.get()));
    at = nullptr;
    heap.collect();
    for (const gc::weak<item>& each : items) ASSERT_FALSE(each.expired());
    ASSERT_EQ((*pairs)[length / 2].value()->value, intact);
    first = nullptr;
    heap.collect();
    for (const gc::weak<item>& each : items) ASSERT_TRUE(each.expired());
    for (const gc::ephemeron<item, item>& each : *pairs) ASSERT_EQ(each.key(), nullptr);
  }
}

struct dying {
  ~dying() {
    both = both_die.key() == nullptr && both_die.value() == nullptr ? 1 : 0;
    key_only = key_lives.key() != nullptr && key_lives.value() == nullptr ? 1 : 0;
    none = value_lives.key() == nullptr ? 1 : 0;
    all = both_live.value() != nullptr && both_live.value()->value == intact ? 1 : 0;
  }
  TENURE_GC_MEMBERS(dying, both_die, key_lives, value_lives, both_live);
  gc::ephemeron<item, item> both_die, key_lives, value_lives, both_live;
  static inline std::atomic<int> both, key_only, none, all;
};
TEST_P(ephemeron, sentence_6_a_dying_object_sees_what_lives) {
  const gc::local<item> alive = heap_.make<item>();
  {
    const gc::local<dying> made = heap_.make<dying>();
    made->both_die.set(heap_.make<item>(), heap_.make<item>());
    made->key_lives.set(alive, heap_.make<item>());
    made->value_lives.set(heap_.make<item>(), alive);
    made->both_live.set(alive, alive);
  }
  heap_.collect();
  heap_.wait_for_destructors();
  EXPECT_EQ(dying::both.load(), 1);
  EXPECT_EQ(dying::key_only.load(), 1);
  EXPECT_EQ(dying::none.load(), 1);
  EXPECT_EQ(dying::all.load(), 1);
}

TEST_P(ephemeron, sentence_7_what_is_returned_lives) {
  const gc::local<holder> held = heap_.make<holder>();
  held->pair.set(heap_.make<item>(), heap_.make<item>());
  const gc::local<item> key = held->pair.key();
  const gc::local<item> value = held->pair.value();
  held->pair.clear();
  heap_.collect();
  EXPECT_EQ(key->value, intact);
  EXPECT_EQ(value->value, intact);
}

// With a guardian: the key comes back, and pairs of live holders that had it are empty; a holder that comes back has
// its pairs, as far as their keys have come back, too.
TEST_P(ephemeron, a_guardian_gives_back_holders_with_what_their_keys_keep) {
  gc::guardian<holder> holders;
  const gc::local<holder> alive = heap_.make<holder>();
  {
    const gc::local<item> key = heap_.make<item>();
    const gc::local<item> other = heap_.make<item>();
    const gc::local<holder> first = make_holder(key, heap_.make<item>());
    first->next = make_holder(other, heap_.make<item>());
    first->pair.value()->next = key;
    alive->pair.set(key, heap_.make<item>());
    holders.guard(first);
  }
  heap_.collect();
  EXPECT_EQ(alive->pair.key(), nullptr);
  const gc::local<holder> back = holders.take();
  ASSERT_TRUE(back);
  EXPECT_EQ(back->pair.key(), nullptr);
  EXPECT_EQ(back->next->pair.key(), nullptr);
  {
    const gc::local<item> key = heap_.make<item>();
    back->pair.set(key, heap_.make<item>());
    back->next->pair.set(gc::local<item>(back->pair.value()), heap_.make<item>());
  }
  heap_.collect();
  EXPECT_EQ(back->pair.key(), nullptr);
}

// An old holder is given young keys and values: a young cycle sees them, and empties the pair of a young key that dies.
TEST(ephemeron_generations, a_young_cycle_looks_at_pairs_that_were_set) {
  gc::heap heap({.name = "young", .plan = gc::plan::sticky_concurrent, .verify = true, .poison = true});
  const gc::local<gc::array<gc::ephemeron<item, item>>> old = heap.make_array<gc::ephemeron<item, item>>(3000);
  const gc::local<item> old_key = heap.make<item>();
  heap.collect();
  for (std::size_t i = 0; i < old->size(); ++i) {
    gc::local<item> key = i % 3 == 0 ? old_key : heap.make<item>();
    (*old)[i].set(key, heap.make<item>());
    if (i % 3 == 1) (*old)[i].set(key, key);
  }
  heap.collect_young();
  for (std::size_t i = 0; i < old->size(); ++i) {
    ASSERT_EQ((*old)[i].key() != nullptr, i % 3 == 0) << i;
    if (i % 3 == 0) {
      ASSERT_EQ((*old)[i].value()->value, intact);
    }
  }
  const std::uint64_t marked_before = heap.statistics().marked_objects;
  heap.collect_young();
  EXPECT_EQ(heap.statistics().marked_objects, marked_before);
  for (std::size_t i = 0; i < old->size(); i += 3) ASSERT_EQ((*old)[i].value()->value, intact);
}

// The marker alone: however few pairs may wait, what the keys keep is marked, and nothing else.
TEST(ephemeron_marker, marks_the_same_with_any_room) {
  for (const std::size_t room : {std::size_t{0}, std::size_t{5}, std::size_t{200}, ~std::size_t{0}}) {
    gc::heap heap({.name = "waiting", .plan = gc::plan::mark_sweep});
    constexpr std::size_t length = test::rounds(std::size_t{1000});
    const auto pairs = heap.make_array<gc::ephemeron<item, item>>(2 * length);
    gc::local<item> first = heap.make<item>();
    gc::local<item> dead = heap.make<item>();
    gc::local<item> at = first;
    gc::local<item> dead_at = dead;
    for (std::size_t i = 0; i < length; ++i) {
      gc::local<item> next = heap.make<item>();
      (*pairs)[length - 1 - i].set(at, next);
      at = next;
      next = heap.make<item>();
      (*pairs)[length + i].set(dead_at, next);
      dead_at = next;
    }
    const gc::holding guard(gc::cycle_lock());
    const gc::stopped_world stopped(nullptr);
    gc::clear_marks(heap.state());
    gc::marker marks(heap.state());
    marks.limit_waiting(room);
    marks.push(pairs.get(), nullptr);
    marks.push(first.get(), nullptr);
    marks.drain_all();
    EXPECT_EQ(marks.marked_objects(), length + 2) << room;
    EXPECT_FALSE(gc::window::get().place(dead_at.get()).is_marked());
    EXPECT_TRUE(gc::window::get().place(at.get()).is_marked());
  }
}

// A thread that has the weak gate and has come to a stopped world waits for its end, and the cycle that has stopped it
// not for the gate. The thread's part is played by the test.
TEST(ephemeron_gate, is_not_waited_for_by_a_stopped_world) {
  gc::heap heap({.name = "stopping", .plan = gc::plan::mark_sweep});
  const gc::root<holder> held(heap.make<holder>());
  const gc::root<item> key(heap.make<item>());
  held->pair.set(gc::local<item>(key), heap.make<item>());
  held->next = heap.make<holder>();
  held->next->pair.set(heap.make<item>(), heap.make<item>());
  std::atomic<bool> is_held{false};
  std::atomic<bool> has_waited{false};
  std::thread other([&] {
    const gc::local<item> registered;
    const gc::holding gate(gc::weak_gate());
    is_held = true;
    while (gc::current_phase() != gc::phase::stopped) std::this_thread::yield();
    const gc::detail::operation waits;
    has_waited = true;
  });
  while (!is_held) std::this_thread::yield();
  do heap.collect();
  while (!has_waited);
  other.join();
  EXPECT_EQ(held->pair.value()->value, intact);
  EXPECT_EQ(held->next->pair.key(), nullptr);
}

// Without room for a stack values are marked where they are found; a long chain of them takes no deeper a stack.
TEST(ephemeron_marker, a_long_chain_without_room_is_not_followed_by_recursion) {
  gc::heap heap({.name = "chain", .plan = gc::plan::mark_sweep});
  // Twenty pairs, one looked at in each pass, until pairs wait by their keys. Then each key wakes two leaves, which
  // fill the ring, and the next key.
  constexpr std::size_t before = 20;
  constexpr std::size_t length = test::rounds(std::size_t{100'000});
  const auto pairs = heap.make_array<gc::ephemeron<item, item>>(before + 3 * length);
  const gc::local<item> first = heap.make<item>();
  gc::local<item> at = first;
  for (std::size_t i = 0; i < before; ++i) {
    const gc::local<item> next = heap.make<item>();
    (*pairs)[before - 1 - i].set(at, next);
    at = next;
  }
  for (std::size_t i = 0; i < length; ++i) {
    const gc::local<item> next = heap.make<item>();
    (*pairs)[before + 3 * i].set(at, heap.make<item>());
    (*pairs)[before + 3 * i + 1].set(at, heap.make<item>());
    (*pairs)[before + 3 * i + 2].set(at, next);
    at = next;
  }
  const gc::holding guard(gc::cycle_lock());
  const gc::stopped_world stopped(nullptr);
  gc::clear_marks(heap.state());
  gc::marker marks(heap.state());
  marks.limit_stack(0);
  marks.push(pairs.get(), nullptr);
  marks.push(first.get(), nullptr);
  marks.drain_all();
  EXPECT_EQ(marks.marked_objects(), 1 + 1 + before + 3 * length);
  EXPECT_TRUE(gc::window::get().place(at.get()).is_marked());
}

// --- Random graphs.

constexpr std::size_t links = 2;
constexpr std::uint32_t none = ~std::uint32_t{0};

struct vertex {
  std::uint32_t id = 0;
  gc::member<vertex> next[links];
  gc::ephemeron<vertex, vertex> pairs[links];
  gc::weak_map<vertex, vertex> notes;
};

// The same in numbers.
struct shadow_vertex {
  std::array<std::uint32_t, links> next{none, none};
  std::array<std::pair<std::uint32_t, std::uint32_t>, links> pairs{std::pair(none, none), std::pair(none, none)};
  std::map<std::uint32_t, std::uint32_t> notes;
};

class ephemeron_graph {
 public:
  ephemeron_graph(gc::heap& heap, std::uint32_t seed) : heap_(heap), dice_(seed) {}

  void step() {
    if (shadow_.size() < 2 || dice_.one_in(3)) return make();
    const std::uint32_t at = any();
    const std::uint32_t key = any();
    const std::uint32_t value = any();
    const std::uint32_t slot = dice_.below(links);
    switch (dice_.below(7)) {
      case 0:
        object(at)->next[slot] = object(value);
        of(at).next[slot] = id_of(value);
        return;
      case 1:
      case 2:
        object(at)->pairs[slot].set(object(key), object(value));
        of(at).pairs[slot] = {id_of(key), id_of(value)};
        return;
      case 3:
        object(at)->notes.set(object(key), object(value));
        of(at).notes[id_of(key)] = id_of(value);
        return;
      case 4:
        ASSERT_EQ(object(at)->notes.erase(object(key)), of(at).notes.erase(id_of(key)) != 0);
        return;
      case 5:
        object(at)->next[slot] = nullptr;
        of(at).next[slot] = none;
        return;
      default:
        if (roots_.size() < 12) return;
        roots_[at] = std::move(roots_.back());
        root_ids_[at] = root_ids_.back();
        roots_.pop_back();
        root_ids_.pop_back();
        return;
    }
  }

  // What the roots lead to: a value when its key and its holder are there, over and over until nothing is added.
  std::set<std::uint32_t> reachable() const {
    std::set<std::uint32_t> found(root_ids_.begin(), root_ids_.end());
    for (std::size_t before = 0; before != found.size();) {
      before = found.size();
      for (const std::uint32_t id : std::set<std::uint32_t>(found)) {
        const auto add = [&](std::uint32_t key, std::uint32_t value) {
          if (value != none && found.contains(key)) found.insert(value);
        };
        for (const std::uint32_t to : shadow_[id].next) add(id, to);
        for (const auto& [key, value] : shadow_[id].pairs) add(key, value);
        for (const auto& [key, value] : shadow_[id].notes) add(key, value);
      }
    }
    return found;
  }

  void check_exact() {
    const std::set<std::uint32_t> expected = reachable();
    for (std::uint32_t id = 0; id < shadow_.size(); ++id) {
      const gc::local<vertex> found = weak_[id].lock();
      ASSERT_EQ(found != nullptr, expected.contains(id)) << id;
      if (!found) continue;
      shadow_vertex& wanted = shadow_[id];
      for (std::size_t i = 0; i < links; ++i) {
        ASSERT_EQ(id_or_none(found->next[i].get()), wanted.next[i]);
        if (!expected.contains(wanted.pairs[i].first)) wanted.pairs[i] = {none, none};
        ASSERT_EQ(id_or_none(found->pairs[i].key().get()), wanted.pairs[i].first);
        ASSERT_EQ(id_or_none(found->pairs[i].value().get()), wanted.pairs[i].second);
      }
      std::erase_if(wanted.notes, [&](const auto& each) { return !expected.contains(each.first); });
      std::map<std::uint32_t, std::uint32_t> notes;
      found->notes.for_each(
          [&](const gc::local<vertex>& key, const gc::local<vertex>& value) { notes[key->id] = value->id; });
      ASSERT_EQ(notes, wanted.notes);
      ASSERT_EQ(found->notes.count(), notes.size());
    }
  }

 private:
  static std::uint32_t id_or_none(const vertex* of) { return of == nullptr ? none : of->id; }

  void make() {
    const gc::local<vertex> made = heap_.make<vertex>();
    made->id = static_cast<std::uint32_t>(shadow_.size());
    shadow_.emplace_back();
    weak_.emplace_back(made);
    roots_.emplace_back(made);
    root_ids_.push_back(made->id);
    // Otherwise whatever is not a root is soon garbage.
    if (roots_.size() < 24) return;
    const std::uint32_t at = any();
    object(at)->next[0] = made;
    of(at).next[0] = made->id;
    roots_.pop_back();
    root_ids_.pop_back();
  }
  std::uint32_t any() { return dice_.below(static_cast<std::uint32_t>(roots_.size())); }
  gc::local<vertex> object(std::uint32_t at) const { return roots_[at]; }
  std::uint32_t id_of(std::uint32_t at) const { return root_ids_[at]; }
  shadow_vertex& of(std::uint32_t at) { return shadow_[root_ids_[at]]; }

  gc::heap& heap_;
  test::dice dice_;
  std::vector<gc::root<vertex>> roots_;
  std::vector<std::uint32_t> root_ids_;
  std::vector<shadow_vertex> shadow_;
  std::vector<gc::weak<vertex>> weak_;
};

void run_graph(gc::heap& heap, std::uint32_t seed, int steps) {
  ephemeron_graph graph(heap, seed);
  for (int i = 0; i < steps; ++i) {
    graph.step();
    if (i % 50 == 37) heap.collect_young();
    if (i % 500 != 499) continue;
    heap.collect();
    graph.check_exact();
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST_P(ephemeron, random_graphs_agree_with_a_search) {
  for (std::uint32_t seed = 1; seed <= test::rounds(3u); ++seed) {
    run_graph(heap_, seed, 1500);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

TEST_P(ephemeron, random_graphs_agree_with_cycles_at_each_third_allocation) {
  test::any_heap heap(
      {.name = "each", .plan = GetParam(), .collect_every_allocations = 3, .verify = true, .poison = true});
  for (std::uint32_t seed = 11; seed < 11 + test::rounds(2u); ++seed) {
    run_graph(heap, seed, 500);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

TEST_P(ephemeron, random_graphs_agree_while_a_collector_never_rests) {
  if (test::named(GetParam()).moves) GTEST_SKIP() << "such a heap is for one thread";
  test::restless_collector collector(heap_);
  std::vector<std::thread> threads;
  for (std::uint32_t seed = 21; seed <= 22; ++seed) {
    threads.emplace_back([&, seed] { run_graph(heap_, seed, 1000); });
  }
  for (std::thread& thread : threads) thread.join();
  collector.stop();
  heap_.collect();
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
}

// --- weak_map.

TEST_P(ephemeron, a_weak_map_finds_what_it_was_given) {
  const gc::local<gc::weak_map<item, item>> map = heap_.make<gc::weak_map<item, item>>();
  test::dice dice(5);
  std::unordered_map<std::uint64_t, std::uint64_t> expected;  // by number: objects may move
  std::uint64_t number = 0;
  std::vector<gc::root<item>> keys;
  for (int i = 0; i < 4000; ++i) {
    gc::local<item> key = heap_.make<item>();
    key->value = number++;
    if (!keys.empty() && dice.one_in(2)) key = keys[dice.below(static_cast<std::uint32_t>(keys.size()))].get();
    const gc::local<item> value = heap_.make<item>();
    value->next = key;
    value->value = number++;
    switch (dice.below(4)) {
      case 0:
        ASSERT_EQ(map->erase(key), expected.erase(key->value) != 0);
        break;
      case 1:
        ASSERT_EQ(map->insert(key, value), expected.emplace(key->value, value->value).second);
        break;
      default:
        map->set(key, value);
        expected[key->value] = value->value;
    }
    keys.emplace_back(key);
    if (keys.size() > 200) {
      expected.erase(keys.front()->value);
      item* const gone = keys.front().get();
      std::erase_if(keys, [&](const gc::root<item>& each) { return each.get() == gone; });
    }
    if (i % 400 == 399) heap_.collect();
  }
  heap_.collect();
  for (const gc::root<item>& each : keys) {
    const gc::local<item> key(each);
    const auto found = expected.find(key->value);
    ASSERT_EQ(map->contains(key), found != expected.end());
    if (found != expected.end()) {
      ASSERT_EQ(map->get(key)->value, found->second);
    }
  }
  EXPECT_EQ(map->count(), expected.size());
  map->clear();
  EXPECT_EQ(map->count(), 0u);
}

TEST(weak_map_death, says_where_it_has_to_be) {
  gc::heap heap({.name = "outside"});
  const gc::local<item> key = heap.make<item>();
  gc::weak_map<item, item> outside;
  EXPECT_DEATH(outside.set(key, key), "gc::weak_map outside of a managed object keeps nothing alive");
}

INSTANTIATE_TEST_SUITE_P(plans, ephemeron, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_ephemeron_tests
