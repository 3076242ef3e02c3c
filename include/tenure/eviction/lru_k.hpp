// LRU-K with K = 2: what was asked for twice the longest ago goes first. Entries that were asked for once only go
// before all others, the one not asked for the longest first.
//
// The time of an entry's last two accesses is kept; that of the last one also after it has gone (the paper's retained
// information), for as many entries as the cache holds. The correlated reference period is zero: each access counts.
// Source: O'Neil, O'Neil and Weikum, The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993.
//
// When to use it: database pages, where a scan must not flush an index. Cost: 40 bytes an entry and 8 in an array, 40
// to 80 for each remembered one; a hit is O(log n).
#pragma once

#include <tenure/eviction/ghost_list.hpp>
#include <tenure/eviction/order_heap.hpp>

namespace tenure::eviction {

struct lru_k_node : weighed {
  std::uint64_t last = 0;
  std::uint64_t last_but_one = 0;  // 0: there was none
  std::uint32_t heap_index = 0;
};

inline bool goes_before(const lru_k_node& one, const lru_k_node& other) noexcept {
  return one.last_but_one != other.last_but_one ? one.last_but_one < other.last_but_one : one.last < other.last;
}

class lru_k : public policy_base<lru_k> {
 public:
  using node = lru_k_node;
  static constexpr std::string_view name = "lru-k";

  explicit lru_k(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity),
        heap_(side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 2),
        ghosts_(capacity, side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 2) {}

  std::uint64_t used() const noexcept { return heap_.weight(); }
  std::size_t count() const noexcept { return heap_.count(); }
  std::size_t side_bytes() const noexcept { return heap_.size_bytes() + ghosts_.size_bytes(); }

  bool full() const noexcept { return heap_.full(); }

  void hit(node& one) noexcept {
    one.last_but_one = one.last;
    one.last = ++now_;
    heap_.changed(one);
  }

  void expect(node& one) noexcept {
    const ghost* const before = ghosts_.find(one.identity);
    one.last_but_one = before == nullptr ? 0 : before->note;
    ghosts_.forget(one.identity);
  }

  void admit(node& one) {
    one.last = ++now_;
    one.place = 1;
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
    ghosts_.add(victim.identity, victim.weight, victim.last);
    evict(victim);
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    ghosts_.set_weight_limit(capacity);
  }

  void check() const noexcept {
    heap_.check();
    ghosts_.check();
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  order_heap<node> heap_;
  ghost_list ghosts_;
  std::uint64_t now_ = 0;
};

}  // namespace tenure::eviction
