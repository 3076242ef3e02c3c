// Snapshots: who leads to whom, what each object retains, where it was allocated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"
#include "support/rounds.h"

using namespace tenure;

namespace gc_snapshot_tests {
namespace {

struct item {
  gc::member<item> first;
  gc::member<item> second;
  char bytes[40];
};
struct part {
  int number;
  gc::member<item> target;
};
class named {
 public:
  gc::member<item>& title() { return title_; }
  part& piece(int at) { return parts_[at]; }

 private:
  TENURE_GC_MEMBERS(named, title_, parts_);
  gc::member<item> title_;
  part parts_[2];
};
struct paired {
  gc::ephemeron<item, item> pair;
};

std::size_t number_of(const gc::heap_snapshot& in, const void* address) {
  const auto all = in.objects();
  return static_cast<std::size_t>(
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.address == address; }) - all.begin());
}
std::map<std::string, const void*> edges_of(const gc::heap_snapshot& in, const void* address) {
  std::map<std::string, const void*> found;
  for (const gc::snapshot_edge& edge : in.edges_of(number_of(in, address))) {
    found[in.name_of(edge)] = in.objects()[edge.to].address;
  }
  return found;
}

TEST(snapshot, edges_have_the_names_of_members) {
  gc::heap heap({.name = "named"});
  const auto row = heap.make_array<gc::member<item>>(3);
  const auto rows = heap.make_array<part>(2);
  const gc::local<named> object = heap.make<named>();
  const gc::local<item> one = heap.make<item>();
  const gc::local<item> two = heap.make<item>();
  object->title() = one;
  object->piece(1).target = two;
  one->second = two;
  (*row)[2] = one;
  (*rows)[1].target = two;
  const gc::heap_snapshot taken(heap);
  ASSERT_EQ(taken.objects().size(), 5u);
  using links = std::map<std::string, const void*>;
  EXPECT_EQ(edges_of(taken, object.get()), (links{{"title_", one.get()}, {"parts_[1].f2", two.get()}}));
  EXPECT_EQ(edges_of(taken, one.get()), (links{{"f2", two.get()}}));
  EXPECT_EQ(edges_of(taken, row->data()), (links{{"[2]", one.get()}}));
  EXPECT_EQ(edges_of(taken, rows->data()), (links{{"[1].f2", two.get()}}));
  EXPECT_EQ(taken.roots().size(), 5u);
  for (const gc::snapshot_root& root : taken.roots()) {
    EXPECT_EQ(taken.holders()[root.holder].rfind("local of thread ", 0), 0u);
  }
}

TEST(snapshot, what_is_shared_is_retained_by_neither) {
  gc::heap heap({.name = "shared"});
  const gc::root<item> top(heap.make<item>());
  top->first = heap.make<item>();
  top->second = heap.make<item>();
  top->first->first = heap.make<item>();
  top->second->first = top->first->first;
  top->second->second = heap.make<item>();
  heap.make<item>();  // dead
  const gc::heap_snapshot taken(heap);
  ASSERT_EQ(taken.objects().size(), 5u);
  const std::size_t cell = taken.objects()[0].bytes;
  const auto retained = [&](const item* of) { return taken.objects()[number_of(taken, of)].retained_bytes; };
  EXPECT_EQ(retained(top.get()), 5 * cell);
  EXPECT_EQ(retained(top->first.get()), cell);
  EXPECT_EQ(retained(top->second.get()), 2 * cell);
  EXPECT_EQ(taken.objects()[number_of(taken, top->first->first.get())].dominator, number_of(taken, top.get()));
  EXPECT_EQ(taken.objects()[number_of(taken, top.get())].dominator, gc::snapshot_object::none);
  const auto types = taken.by_type();
  ASSERT_EQ(types.size(), 1u);
  EXPECT_EQ(types[0].objects, 5u);
  EXPECT_EQ(types[0].bytes, 5 * cell);
  EXPECT_EQ(types[0].retained_bytes, 5 * cell);  // nothing twice
}

TEST(snapshot, the_value_of_a_pair_is_retained_by_its_key) {
  gc::heap heap({.name = "pairs"});
  const gc::root<paired> holder(heap.make<paired>());
  const gc::root<item> key(heap.make<item>());
  {
    const gc::local<item> value = heap.make<item>();
    value->first = heap.make<item>();
    holder->pair.set(gc::local<item>(key), value);
  }
  const gc::heap_snapshot taken(heap);
  ASSERT_EQ(taken.objects().size(), 4u);
  const auto& object = taken.objects()[number_of(taken, key.get())];
  EXPECT_EQ(object.retained_bytes, 3 * object.bytes);
  EXPECT_EQ(edges_of(taken, key.get()).begin()->first, "value of a pair");
}

// Each pair's value is the key of another, found in the order that is worst for passes over all that wait.
TEST(snapshot, a_long_chain_of_pairs_is_followed_once) {
  gc::heap heap({.name = "chain", .verify = true});
  constexpr std::size_t length = test::rounds(std::size_t{100'000});
  const auto pairs = heap.make_array<gc::ephemeron<item, item>>(length);
  const gc::local<item> first = heap.make<item>();
  {
    gc::local<item> key = first;
    for (std::size_t i = 0; i < length; ++i) {
      const gc::local<item> value = heap.make<item>();
      (*pairs)[length - 1 - i].set(key, value);
      key = value;
    }
  }
  heap.check();
  const gc::heap_snapshot taken(heap);
  ASSERT_EQ(taken.objects().size(), length + 2);
  const auto& object = taken.objects()[number_of(taken, first.get())];
  EXPECT_EQ(object.retained_bytes, (length + 1) * object.bytes);
}

TEST(snapshot, an_object_has_the_same_identity_in_the_next_file) {
  gc::heap heap({.name = "twice"});
  const gc::local<item> one = heap.make<item>();
  const auto identities = [&] {
    std::ostringstream text;
    gc::heap_snapshot(heap).write_v8(text);
    const std::string all = text.str();
    std::set<std::string> found;
    // Rows of objects begin with 3; the third number is the identity.
    for (std::size_t at = all.find("\n3,"); at != std::string::npos; at = all.find("\n3,", at + 1)) {
      const std::size_t from = all.find(',', at + 3) + 1;
      found.insert(all.substr(from, all.find(',', from) - from));
    }
    return found;
  };
  const std::set<std::string> before = identities();
  ASSERT_EQ(before.size(), 1u);
  one->first = heap.make<item>();
  const std::set<std::string> after = identities();
  EXPECT_EQ(after.size(), 2u);
  EXPECT_TRUE(after.contains(*before.begin()));
}

// The oracle: what is not reached any more when an object is taken away.
TEST(snapshot, retained_sizes_are_what_would_die) {
  test::dice dice(3);
  for (int round = 0; round < 30; ++round) {
    gc::heap heap({.name = "random"});
    std::vector<gc::root<item>> roots;
    std::vector<gc::local<item>> all;
    for (int i = 0; i < 40; ++i) all.push_back(heap.make<item>());
    for (int i = 0; i < 60; ++i) {
      item& from = *all[dice.below(40)];
      (dice.one_in(2) ? from.first : from.second) = all[dice.below(40)];
    }
    for (int i = 0; i < 3; ++i) roots.emplace_back(all[dice.below(40)].get());
    while (!all.empty()) all.pop_back();
    const gc::heap_snapshot taken(heap);
    const auto reached_without = [&](const item* removed) {
      std::set<const item*> reached;
      std::vector<const item*> waiting;
      const auto arrive = [&](const item* at) {
        if (at != nullptr && at != removed && reached.insert(at).second) waiting.push_back(at);
      };
      for (const auto& root : roots) arrive(root.get());
      while (!waiting.empty()) {
        const item* at = waiting.back();
        waiting.pop_back();
        arrive(at->first.get());
        arrive(at->second.get());
      }
      return reached;
    };
    const std::set<const item*> reached = reached_without(nullptr);
    ASSERT_EQ(taken.objects().size(), reached.size());
    for (const gc::snapshot_object& object : taken.objects()) {
      const auto* removed = static_cast<const item*>(object.address);
      ASSERT_TRUE(reached.contains(removed));
      ASSERT_EQ(object.retained_bytes, object.bytes * (reached.size() - reached_without(removed).size()));
    }
  }
}

[[gnu::noinline]] gc::local<gc::array<char>> make_big(gc::heap& heap) { return heap.make_array<char>(1000); }

// Each byte has the same chance: what the samples stand for is what there is, within six standard deviations.
TEST(snapshot, samples_stand_for_what_was_allocated) {
  gc::heap heap({.name = "sampled", .sample_bytes = 4096});
  std::vector<gc::root<item>> small;
  std::vector<gc::root<gc::array<char>>> big;
  std::vector<gc::root<gc::array<char>>> large;
  for (int i = 0; i < 20'000; ++i) small.emplace_back(heap.make<item>());
  for (int i = 0; i < 2'000; ++i) big.emplace_back(make_big(heap));
  for (int i = 0; i < 20; ++i) large.emplace_back(heap.make_array<char>(100'000));
  heap.collect();
  const gc::heap_snapshot taken(heap);
  for (const gc::snapshot_site& site : taken.sites()) {
    EXPECT_GT(site.stack.frame_count, 1u);
    EXPECT_GT(site.sampled_objects, 0u);
  }
  double sampled = 0;
  double there = 0;
  for (const gc::snapshot_object& object : taken.objects()) there += static_cast<double>(object.bytes);
  for (const gc::snapshot_site& site : taken.sites()) sampled += static_cast<double>(site.sampled_bytes);
  // Variance of an estimate of n bytes: n times the interval, at most, and what a large object weighs.
  EXPECT_NEAR(sampled, there, 6 * std::sqrt(there * (4096 + 1000)));
  // What dies is forgotten.
  small.clear();
  big.clear();
  large.clear();
  heap.collect();
  const gc::local<item> one = heap.make<item>();
  const gc::heap_snapshot after(heap);
  EXPECT_EQ(after.objects().size(), 1u);
  EXPECT_LE(after.sites().size(), 1u);
}

TEST(snapshot, of_a_heap_that_is_not_sampled_knows_no_sites) {
  gc::heap heap({.name = "unsampled", .sample_bytes = 0});
  std::vector<gc::root<gc::array<char>>> large;
  for (int i = 0; i < 50; ++i) large.emplace_back(heap.make_array<char>(100'000));
  EXPECT_TRUE(gc::heap_snapshot(heap).sites().empty());
}

}  // namespace
}  // namespace gc_snapshot_tests
