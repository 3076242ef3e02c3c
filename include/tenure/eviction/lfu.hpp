// LFU: what has been asked for the least often since it came goes first; among equals, what was not asked for the
// longest.
//
// When to use it: a popularity that does not change. When not: anywhere else, since yesterday's favourites stay. Cost:
// 40 bytes an entry and 8 in an array; a hit is O(log n).
#pragma once

#include <tenure/eviction/order_heap.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

struct lfu_node : weighed {
  std::uint64_t hits = 0;
  std::uint64_t last_access = 0;
  std::uint32_t heap_index = 0;
};

inline bool goes_before(const lfu_node& one, const lfu_node& other) noexcept {
  return one.hits != other.hits ? one.hits < other.hits : one.last_access < other.last_access;
}

class lfu : public policy_base<lfu> {
 public:
  using node = lfu_node;
  static constexpr std::string_view name = "lfu";

  explicit lfu(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity), heap_(side_limit_bytes) {}

  std::uint64_t used() const noexcept { return heap_.weight(); }
  std::size_t count() const noexcept { return heap_.count(); }
  std::size_t side_bytes() const noexcept { return heap_.size_bytes(); }

  bool full() const noexcept { return heap_.full(); }

  void hit(node& one) noexcept {
    ++one.hits;
    one.last_access = ++now_;
    heap_.changed(one);
  }

  void admit(node& one) {
    one.place = 1;
    one.hits = 0;
    one.last_access = ++now_;
    heap_.push(one);
  }

  void erase(node& one) noexcept {
    heap_.erase(one);
    one.place = 0;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (heap_.empty()) return false;
    node& victim = heap_.first();
    erase(victim);
    evict(victim);
    return true;
  }

  void check() const noexcept {
    heap_.check();
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  order_heap<node> heap_;
  std::uint64_t now_ = 0;
};

}  // namespace tenure::eviction
