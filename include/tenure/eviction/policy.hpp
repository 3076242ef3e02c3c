// The contract of an eviction policy: which entry goes when there is no room.
//
// A policy keeps entries (its `node`, embedded in them by whoever owns them) whose weights never sum to more than its
// capacity. It owns no entry: what it gives up, it hands to `evict`, which may free it.
//
//     tenure::eviction::lru policy(1000);
//     struct entry : tenure::eviction::lru::node { int value; };
//     entry one;
//     one.identity = hash_of_its_key;          // set both before insert()
//     one.weight = 1;
//     policy.insert(one, [](auto& gone) { delete static_cast<entry*>(&gone); });
//     policy.hit(one);                         // it was asked for, and is here
//
//   insert(node, evict)    a miss: makes room, then takes the entry in. A policy that admits only what is worth it, and
//                          every policy for an entry heavier than the capacity, hands `node` itself to evict().
//   hit(node)              constant time, or O(log n) where the policy keeps an order that is no list (lfu, lru_k)
//   erase(node)            the entry goes for another reason; nothing is remembered of it
//   evict_one(evict)       gives up the entry that would go next, and no other; false when there is none
//   set_capacity(n, evict) gives up what no longer fits
//   side_bytes()           heap memory besides the nodes: what is remembered of entries that have gone, sketches,
//                          arrays. Never more than the limit given to the constructor, not even while it grows: when
//                          that is reached, the oldest is forgotten first, or an entry is given up.
//
// Not thread-safe. Nothing is allocated on a hit; what is remembered grows by doubling and within its limit.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include <tenure/eviction/node.hpp>

namespace tenure::eviction {

inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

template <class type>
concept policy = std::derived_from<typename type::node, weighed> &&
    requires(type one, const type& same, typename type::node& entry, void (*evict)(typename type::node&),
             std::uint64_t capacity, std::size_t side_limit_bytes) {
  type(capacity, side_limit_bytes);
  one.insert(entry, evict);
  one.hit(entry);
  one.erase(entry);
  { one.evict_one(evict) } -> std::same_as<bool>;
  one.set_capacity(capacity, evict);
  { same.capacity() } -> std::same_as<std::uint64_t>;
  { same.used() } -> std::same_as<std::uint64_t>;
  { same.count() } -> std::same_as<std::size_t>;
  { same.side_bytes() } -> std::same_as<std::size_t>;
  same.check();
  { type::name } -> std::convertible_to<std::string_view>;
};

class not_copied {
 public:
  not_copied(const not_copied&) = delete;
  not_copied& operator=(const not_copied&) = delete;

 protected:
  not_copied() = default;
  ~not_copied() = default;
};

// What all policies here have in common: the capacity, and the order of the steps of an insertion. `self` is the policy
// and has admit(node), which puts an entry in its lists when there is room; where it must look at what it remembers
// before that is changed by making room, expect(node); and where something else than the capacity can be full, full().
template <class self>
class policy_base : not_copied {
 public:
  std::uint64_t capacity() const noexcept { return capacity_; }

  template <class entry, class evict_function>
  void insert(entry& one, evict_function&& evict) {
    structure_check(one.place == 0, "an entry is inserted twice");
    if (one.weight > capacity_) return evict(one);
    me().expect(one);
    while (me().used() + one.weight > capacity_ || me().full()) me().evict_one(evict);
    me().admit(one);
  }

  void expect(const weighed&) noexcept {}
  static constexpr bool full() noexcept { return false; }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    capacity_ = capacity;
    while (me().used() > capacity_) me().evict_one(evict);
  }

 protected:
  ~policy_base() = default;

  std::uint64_t capacity_;

 private:
  friend self;
  explicit policy_base(std::uint64_t capacity) noexcept : capacity_(capacity) {}

  self& me() noexcept { return static_cast<self&>(*this); }
};

}  // namespace tenure::eviction
