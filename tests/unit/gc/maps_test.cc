// map and unordered_map, on random operations beside those of the standard library, in heaps that collect all the time.
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <thread>
#include <unordered_map>

#include <tenure/gc.hpp>

#include "support/dice.h"
#include "support/rounds.h"
#include "unit/gc/containers.h"
#include "unit/gc/restless_collector.h"

using namespace tenure;
using test::counted;
using test::id_of;
using test::make_number;
using test::number;

namespace gc_maps_tests {
namespace {

class maps : public ::testing::TestWithParam<test::collecting_often> {
 protected:
  gc::heap heap_{GetParam().options()};
};

// Keys are made of numbers, and read back as numbers.
struct string_key {
  using type = gc::string;
  static void with(gc::heap& heap, std::uint64_t id, auto use) { use(*heap.make<gc::string>(std::to_string(id))); }
  static std::uint64_t id_of(const gc::string& key) { return std::stoull(std::string(key)); }
};
struct plain_key {
  using type = std::string;
  static void with(gc::heap&, std::uint64_t id, auto use) { use(std::to_string(id)); }
  static std::uint64_t id_of(const std::string& key) { return std::stoull(key); }
};

template <class Map, class Reference>
void expect_same(const Map& map, const Reference& reference, auto number_of) {
  ASSERT_EQ(map.size(), reference.size());
  std::size_t seen = 0;
  for (const auto& [key, value] : map) {
    const auto found = reference.find(std::to_string(number_of(key)));
    ASSERT_NE(found, reference.end());
    ASSERT_EQ(id_of(value), found->second);
    ++seen;
  }
  ASSERT_EQ(seen, reference.size());
}

// One change that both kinds can make.
template <class Key, class Map, class Reference>
void change(gc::heap& heap, Map& map, Reference& reference, test::dice& dice, std::uint64_t next) {
  const std::uint64_t id = dice.below(80);
  const std::string name = std::to_string(id);
  const gc::local<number> value = make_number(heap, next);
  Key::with(heap, id, [&](const typename Key::type& key) {
    switch (dice.below(8)) {
      case 0:
        ASSERT_EQ(map.try_emplace(key, value).second, reference.try_emplace(name, next).second);
        return;
      case 1:
        map[key] = typename Map::mapped_type(value);
        reference[name] = next;
        return;
      case 2:
        ASSERT_EQ(map.insert_or_assign(key, typename Map::mapped_type(value)).second,
                  reference.insert_or_assign(name, next).second);
        return;
      case 3:
        ASSERT_EQ(map.emplace(key, typename Map::mapped_type(value)).second, reference.emplace(name, next).second);
        return;
      case 4:
        ASSERT_EQ(map.erase(key), reference.erase(name));
        return;
      case 5: {
        const auto at = map.find(key);
        ASSERT_EQ(at != map.end(), reference.contains(name));
        if (at == map.end()) return;
        map.erase(at);
        reference.erase(name);
        return;
      }
      case 6: {
        if (!dice.one_in(4)) return;
        const gc::local<Map> copy = heap.make<Map>(map);
        expect_same(*copy, reference, Key::id_of);
        copy->erase(key);
        swap(*copy, map);
        reference.erase(name);
        return;
      }
      default:
        if (reference.contains(name)) {
          ASSERT_EQ(id_of(map.at(key)), reference.at(name));
        } else {
          ASSERT_THROW(map.at(key), std::out_of_range);
        }
        ASSERT_EQ(map.count(key), reference.count(name));
    }
  });
}

template <class Key, class Map, class Reference>
void run(gc::heap& heap, auto look_closer) {
  for (std::uint32_t seed = 1; seed <= test::rounds(3u); ++seed) {
    test::dice dice(seed);
    const gc::local<Map> map = heap.make<Map>();
    Reference reference;
    for (std::uint64_t i = 1; i < test::rounds(500u); ++i) {
      change<Key>(heap, *map, reference, dice, i);
      if (i % 10 == 0) expect_same(*map, reference, Key::id_of);
      if (i % 10 == 5) look_closer(*map, reference);
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << " step " << i;
    }
    map->clear();
    ASSERT_TRUE(map->empty() && map->begin() == map->end());
  }
  for (int i = 0; i < 2; ++i) {
    heap.collect();
    heap.wait_for_destructors();
  }
  EXPECT_EQ(counted::living.load(), 0);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
}

const auto nothing_more = [](const auto&, const auto&) {};

TEST_P(maps, an_unordered_map_of_managed_keys_does_what_the_standard_one_does) {
  run<string_key, gc::unordered_map<gc::string, gc::member<number>>, std::unordered_map<std::string, std::uint64_t>>(
      heap_, nothing_more);
}
TEST_P(maps, an_unordered_map_of_classes_does_what_the_standard_one_does) {
  run<plain_key, gc::unordered_map<std::string, counted>, std::unordered_map<std::string, std::uint64_t>>(heap_,
                                                                                                          nothing_more);
}

// Order, bounds, both directions.
const auto in_order = [](auto& map, const std::map<std::string, std::uint64_t>& reference) {
  auto at = map.begin();
  for (const auto& [key, value] : reference) {
    ASSERT_EQ(std::string_view(at->first), key);
    ++at;
  }
  for (auto back = reference.rbegin(); back != reference.rend(); ++back) {
    --at;
    ASSERT_EQ(std::string_view(at->first), back->first);
  }
  const auto name_at = [&](auto found) { return found == map.end() ? "end" : std::string(found->first); };
  const auto name_in = [&](auto found) { return found == reference.end() ? "end" : found->first; };
  for (const char* name : {"", "3", "45", "451", "9", "~"}) {
    ASSERT_EQ(name_at(map.template lower_bound<std::string_view>(name)), name_in(reference.lower_bound(name)));
    ASSERT_EQ(name_at(map.template upper_bound<std::string_view>(name)), name_in(reference.upper_bound(name)));
  }
};

TEST_P(maps, a_map_of_managed_keys_does_what_the_standard_one_does) {
  run<string_key, gc::map<gc::string, gc::member<number>, std::less<>>, std::map<std::string, std::uint64_t>>(heap_,
                                                                                                              in_order);
}
TEST_P(maps, a_map_of_classes_does_what_the_standard_one_does) {
  run<plain_key, gc::map<std::string, counted, std::less<>>, std::map<std::string, std::uint64_t>>(heap_, in_order);
}

TEST_P(maps, are_as_deep_as_they_should_be) {
  const auto map = heap_.make<gc::map<int, int>>();
  constexpr int size = test::rounds(2000);
  for (int i = 0; i < size; ++i) (*map)[i] = i;
  int next = 0;
  for (const auto& [key, value] : *map) ASSERT_EQ(key, next++);
  EXPECT_EQ(next, size);
  map->erase(map->find(size / 4), map->find(size / 4 * 3));
  EXPECT_EQ(map->size(), static_cast<std::size_t>(size / 2));
  EXPECT_EQ(map->lower_bound(size / 4)->first, size / 4 * 3);
}

// Comparisons are counted: a search takes a few for each level.
struct counted_less {
  bool operator()(int a, int b) const {
    ++comparisons;
    return a < b;
  }
  static inline int comparisons = 0;
};
TEST_P(maps, are_no_deeper_after_moves) {
  using ordered = gc::map<int, int, counted_less>;
  for (const bool by_swap : {false, true}) {
    gc::local<ordered> map = heap_.make<ordered>();
    constexpr int size = test::rounds(1000);
    for (int i = 0; i < size; ++i) {
      map->try_emplace(i, i);
      const gc::local<ordered> next = by_swap ? heap_.make<ordered>() : heap_.make<ordered>(std::move(*map));
      if (by_swap) swap(*next, *map);
      map = next;
    }
    counted_less::comparisons = 0;
    for (int i = 0; i < size; ++i) ASSERT_EQ(map->at(i), i);
    EXPECT_LT(counted_less::comparisons, size * 40);
  }
}

// What cannot be copied in the middle of an assignment leaves the old elements.
template <class Map>
void expect_old_elements_when_a_copy_throws(gc::heap& heap) {
  const auto map = heap.make<Map>();
  const auto other = heap.make<Map>();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    map->try_emplace(std::to_string(i), make_number(heap, i));
    other->try_emplace(std::to_string(10 + i), make_number(heap, 10 + i));
  }
  counted::copies_until_throw = 3;
  EXPECT_THROW(*map = *other, std::runtime_error);
  counted::copies_until_throw = 0;
  ASSERT_EQ(map->size(), 5u);
  for (std::uint64_t i = 1; i <= 5; ++i) ASSERT_EQ(map->at(std::to_string(i)).id(), i);
  *map = *other;
  ASSERT_EQ(map->size(), 5u);
  for (std::uint64_t i = 11; i <= 15; ++i) ASSERT_EQ(map->at(std::to_string(i)).id(), i);
  const auto empty = heap.make<Map>();
  *map = *empty;
  ASSERT_TRUE(map->empty() && map->begin() == map->end());
}
TEST_P(maps, an_assignment_that_throws_changes_nothing) {
  expect_old_elements_when_a_copy_throws<gc::map<std::string, counted>>(heap_);
  expect_old_elements_when_a_copy_throws<gc::unordered_map<std::string, counted>>(heap_);
}

// The examples of the headers: texts are looked up as they are.
struct page {
  int number = 0;
};
struct catalogue {
  gc::map<gc::string, gc::member<page>> pages;
};
struct index {
  gc::unordered_map<gc::string, gc::member<page>> pages;
};
template <class Holder>
void expect_texts_to_do(gc::heap& heap) {
  const gc::local<Holder> holder = heap.make<Holder>();
  auto& pages = holder->pages;
  pages["front"] = heap.make<page>();
  if (auto found = pages.find("front"); found != pages.end()) found->second->number = 7;
  for (const auto& [name, each] : pages) ASSERT_TRUE(name == "front" && each->number == 7);
  const std::string last = "the last page";
  ASSERT_TRUE(pages.try_emplace(last, heap.make<page>()).second);
  ASSERT_FALSE(pages.try_emplace(std::string_view(last)).second);
  ASSERT_FALSE(pages.insert_or_assign("front", pages.at(last)).second);
  ASSERT_EQ(pages["front"], pages[last]);
  ASSERT_EQ(std::as_const(pages).at("front"), std::as_const(pages).find(last)->second);
  ASSERT_EQ(pages.size(), 2u);
  ASSERT_EQ(pages.erase("none") + pages.erase(last), 1u);
  ASSERT_TRUE(pages.contains("front") && !pages.contains(last) && pages.count("front") == 1);
  ASSERT_THROW(pages.at(last), std::out_of_range);
}
TEST_P(maps, are_looked_up_by_texts) {
  expect_texts_to_do<catalogue>(heap_);
  expect_texts_to_do<index>(heap_);
}

// As many steps as elements; were the empty buckets passed each time, it would not come to its end.
TEST(maps_emptied, from_the_beginning) {
  gc::heap heap({.name = "emptied"});
  const auto map = heap.make<gc::unordered_map<int, int>>();
  constexpr int count = test::rounds(1 << 19);
  for (const bool by_key : {false, true}) {
    for (int i = 0; i < count; ++i) map->try_emplace(i, i);
    std::int64_t sum = 0;
    while (!map->empty()) {
      const auto first = map->begin();
      sum += first->second;
      if (by_key) {
        map->erase(first->first);
      } else {
        map->erase(first);
      }
    }
    EXPECT_EQ(sum, std::int64_t{count} * (count - 1) / 2);
    EXPECT_TRUE(map->begin() == map->end());
  }
}

// Members as keys are found by their addresses, or ordered by what they lead to.
struct by_id {
  bool operator()(const gc::member<number>& a, const gc::member<number>& b) const { return a->id < b->id; }
};
struct named {
  gc::map<gc::member<number>, gc::string, by_id> names;
  gc::unordered_map<gc::member<number>, gc::vector<gc::member<number>>> edges;
};

TEST_P(maps, keys_may_be_members) {
  const gc::local<named> all = heap_.make<named>();
  std::vector<gc::weak<number>> weak;
  for (std::uint64_t i = 0; i < 50; ++i) {
    const gc::local<number> made = make_number(heap_, i);
    weak.emplace_back(made);
    all->names[made] = std::to_string(i);
    for (const gc::weak<number>& each : weak) all->edges[made].push_back(each.lock());
  }
  heap_.collect();
  for (std::uint64_t i = 0; i < 50; ++i) {
    const gc::local<number> key = weak[i].lock();
    ASSERT_EQ(all->names.at(key), std::to_string(i));
    ASSERT_EQ(all->edges.at(key).size(), i + 1);
    ASSERT_EQ(all->edges.at(key).front()->id, 0u);
  }
  all->edges.erase(weak[49].lock());
  all->names.erase(weak[49].lock());
  heap_.collect();
  EXPECT_TRUE(weak[49].expired());
  EXPECT_FALSE(weak[48].expired());
}

// Maps that several threads fill, each its own, beside a collector that never rests.
TEST_P(maps, lose_nothing_while_a_collector_never_rests) {
  gc::heap heap({.name = "filled", .plan = GetParam().plan, .verify = true, .poison = true});
  test::restless_collector collector(heap);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      test::dice dice(t + 1);
      using ordered = gc::map<gc::string, gc::member<number>, std::less<>>;
      using hashed = gc::unordered_map<gc::string, gc::member<number>>;
      const gc::local<ordered> sorted = heap.make<ordered>();
      const gc::local<hashed> scattered = heap.make<hashed>();
      std::map<std::string, std::uint64_t> reference;
      for (std::uint64_t i = 0; i < test::rounds(1500u); ++i) {
        change<string_key>(heap, *sorted, reference, dice, i);
        if (i % 100 != 99) continue;
        expect_same(*sorted, reference, string_key::id_of);
        scattered->clear();
        for (const auto& [key, value] : *sorted) scattered->try_emplace(key, value);
        expect_same(*scattered, reference, string_key::id_of);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  collector.stop();
}

INSTANTIATE_TEST_SUITE_P(heaps, maps, test::heaps_that_collect(), test::heap_name);

}  // namespace
}  // namespace gc_maps_tests
