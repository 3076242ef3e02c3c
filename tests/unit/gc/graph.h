// A seeded mutator and its shadow: what it does to managed objects, it does to a graph of plain numbers as well.
//
// The shadow says what is reachable, by a search over std containers that knows nothing of the collector. A heap is
// right when, after a collection, its objects, its weak references and its destructors say the same.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <set>
#include <vector>

#include <tenure/gc.hpp>

#include "support/dice.h"

namespace tenure::test {

constexpr std::size_t link_count = 3;

// With a destructor (counted) or without.
template <bool counted>
struct thing;

template <>
struct thing<false> {
  std::uint32_t id = 0;
  gc::member<thing> links[link_count];
};
template <>
struct thing<true> {
  ~thing() {
    if (destroyed != nullptr) destroyed[id].fetch_add(1);
  }
  TENURE_GC_MEMBERS(thing, id, links, destroyed);
  std::uint32_t id = 0;
  gc::member<thing> links[link_count];
  std::atomic<std::uint32_t>* destroyed = nullptr;
};

}  // namespace tenure::test

// Its destructor does not ask where it is.
template <>
inline constexpr tenure::gc::moving tenure::gc::moving_of<tenure::test::thing<true>> = tenure::gc::moving::allowed;

namespace tenure::test {

template <bool counted>
class graph {
 public:
  using object = thing<counted>;

  graph(gc::heap& heap, std::uint32_t seed, std::uint32_t most_objects)
      : heap_(heap), dice_(seed), destroyed_(most_objects), most_(most_objects) {}

  ~graph() {
    forget_all();
    settle();
  }

  // What waits for its destructor keeps what it leads to: a first cycle finds the one, a second the other.
  void settle() {
    for (int i = 0; i < 2; ++i) {
      heap_.wait_for_destructors();
      heap_.collect();
    }
    heap_.wait_for_destructors();
  }

  // One random change.
  void step() {
    switch (dice_.below(8)) {
      case 0:
      case 1:
        return make();
      case 2:
      case 3:
        return link();
      case 4:
        return unlink();
      case 5:
        return follow();
      case 6:
        return drop();
      default:
        return shuffle();
    }
  }

  std::set<std::uint32_t> reachable() const {
    std::set<std::uint32_t> found;
    std::vector<std::uint32_t> waiting(root_ids_);
    while (!waiting.empty()) {
      const std::uint32_t id = waiting.back();
      waiting.pop_back();
      if (id == none || !found.insert(id).second) continue;
      for (const std::uint32_t to : links_[id]) waiting.push_back(to);
    }
    return found;
  }

  // Everything that is reachable is there, as the shadow has it.
  void check_reachable() {
    const std::set<std::uint32_t> expected = reachable();
    for (const std::uint32_t id : expected) {
      const gc::local<object> found = weak_[id].lock();
      ASSERT_TRUE(found) << id;
      ASSERT_EQ(found->id, id);
      for (std::size_t i = 0; i < link_count; ++i) {
        const std::uint32_t to = links_[id][i];
        if (to == none) {
          ASSERT_EQ(found->links[i], nullptr);
        } else {
          ASSERT_EQ(found->links[i]->id, to);
        }
      }
    }
  }

  // After settle(): nothing else is there.
  void check_exact() {
    check_reachable();
    const std::set<std::uint32_t> expected = reachable();
    for (std::uint32_t id = 0; id < weak_.size(); ++id) {
      ASSERT_EQ(weak_[id].expired(), !expected.contains(id)) << id;
      if (counted) {
        ASSERT_EQ(destroyed_[id].load(), expected.contains(id) ? 0u : 1u) << id;
      }
    }
  }

  void forget_all() {
    roots_.clear();
    root_ids_.clear();
  }
  bool is_full() const { return weak_.size() == most_; }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  void make() {
    if (is_full()) return;
    const auto id = static_cast<std::uint32_t>(weak_.size());
    gc::local<object> made = heap_.make<object>();
    made->id = id;
    if constexpr (counted) made->destroyed = destroyed_.data();
    weak_.emplace_back(made);
    links_.push_back({none, none, none});
    // On a root of its own, or on an object that is there, so that not everything is near a root.
    if (roots_.empty() || dice_.one_in(3)) {
      roots_.emplace_back(made);
      root_ids_.push_back(id);
    } else {
      const std::uint32_t at = dice_.below(static_cast<std::uint32_t>(roots_.size()));
      const std::uint32_t slot = dice_.below(link_count);
      made->links[0] = roots_[at]->links[slot];
      links_[id][0] = links_[root_ids_[at]][slot];
      roots_[at]->links[slot] = made;
      links_[root_ids_[at]][slot] = id;
    }
  }

  void link() {
    if (roots_.empty()) return;
    const std::uint32_t from = any_root();
    const std::uint32_t to = any_root();
    const std::uint32_t slot = dice_.below(link_count);
    roots_[from]->links[slot] = roots_[to].get();
    links_[root_ids_[from]][slot] = root_ids_[to];
  }

  void unlink() {
    if (roots_.empty()) return;
    const std::uint32_t from = any_root();
    const std::uint32_t slot = dice_.below(link_count);
    roots_[from]->links[slot] = nullptr;
    links_[root_ids_[from]][slot] = none;
  }

  // A root moves along a link: what was found there may lose its other references behind the collector's back.
  void follow() {
    if (roots_.empty()) return;
    const std::uint32_t at = any_root();
    const std::uint32_t slot = dice_.below(link_count);
    const std::uint32_t to = links_[root_ids_[at]][slot];
    if (to == none) return;
    const gc::local<object> next = roots_[at]->links[slot];
    roots_[at]->links[slot] = nullptr;
    links_[root_ids_[at]][slot] = none;
    roots_[at] = next.get();
    root_ids_[at] = to;
  }

  void drop() {
    if (roots_.size() < 8) return;
    const std::uint32_t at = any_root();
    roots_[at] = std::move(roots_.back());
    root_ids_[at] = root_ids_.back();
    roots_.pop_back();
    root_ids_.pop_back();
  }

  void shuffle() {
    if (roots_.size() < 2) return;
    const std::uint32_t a = any_root();
    const std::uint32_t b = any_root();
    const std::uint32_t slot = dice_.below(link_count);
    swap(roots_[a]->links[slot], roots_[b]->links[0]);
    std::swap(links_[root_ids_[a]][slot], links_[root_ids_[b]][0]);
  }

  std::uint32_t any_root() { return dice_.below(static_cast<std::uint32_t>(roots_.size())); }

  gc::heap& heap_;
  dice dice_;
  std::vector<gc::root<object>> roots_;
  std::vector<std::uint32_t> root_ids_;
  std::vector<std::array<std::uint32_t, link_count>> links_;
  std::vector<gc::weak<object>> weak_;
  std::vector<std::atomic<std::uint32_t>> destroyed_;
  std::uint32_t most_;
};

}  // namespace tenure::test
