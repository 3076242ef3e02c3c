// LRU: what has not been asked for the longest goes first.
//
// When to use it: what was just used will be used again (sessions, a working set that moves). When not: loops longer
// than the cache, where it hits nothing, and scans, which flush it. Cost: 32 bytes an entry; a hit moves one list
// entry.
#pragma once

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class lru : public policy_base<lru> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "lru";

  explicit lru(std::uint64_t capacity, std::size_t = no_limit) noexcept : policy_base(capacity) {}

  std::uint64_t used() const noexcept { return list_.weight(); }
  std::size_t count() const noexcept { return list_.count(); }
  std::size_t side_bytes() const noexcept { return 0; }

  void hit(node& one) noexcept { list_.move_to_front(one); }

  void admit(node& one) noexcept {
    one.place = 1;
    list_.push_front(one);
  }

  void erase(node& one) noexcept {
    one.place = 0;
    list_.erase(one);
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (list_.empty()) return false;
    node& oldest = list_.back();
    erase(oldest);
    evict(oldest);
    return true;
  }

  void check() const noexcept {
    list_.check([](const node& one) { return one.place == 1; });
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  node_list<node> list_;
};

}  // namespace tenure::eviction
