// SIEVE: a FIFO whose hand walks from the oldest to the newest, clears marks, and takes out what has none.
//
//   newest [ 0 1 0 | 1 0 1 1 ] oldest
//                ^ hand: everything to its right has survived a pass and stays where it is
//
// Unlike CLOCK the survivors are not moved, so new entries are sieved against each other while old ones keep their
// place. Source: Zhang and others, SIEVE is simpler than LRU, NSDI 2024.
//
// When to use it: web caches with many one-hit wonders. When not: scans and loops of blocks, where it is worse than
// LRU.
// Cost: 32 bytes an entry; a hit stores one byte.
#pragma once

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class sieve : public policy_base<sieve> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "sieve";

  explicit sieve(std::uint64_t capacity, std::size_t = no_limit) noexcept : policy_base(capacity) {}

  std::uint64_t used() const noexcept { return queue_.weight(); }
  std::size_t count() const noexcept { return queue_.count(); }
  std::size_t side_bytes() const noexcept { return 0; }

  void hit(node& one) noexcept { one.mark = 1; }

  void admit(node& one) noexcept {
    one.place = 1;
    one.mark = 0;
    queue_.push_front(one);
  }

  void erase(node& one) noexcept {
    if (hand_ == &one) hand_ = queue_.before(one);
    one.place = 0;
    queue_.erase(one);
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (queue_.empty()) return false;
    node* at = hand_ != nullptr ? hand_ : &queue_.back();
    while (at->mark != 0) {
      at->mark = 0;
      at = queue_.before(*at);
      if (at == nullptr) at = &queue_.back();
    }
    hand_ = at;
    erase(*at);
    evict(*at);
    return true;
  }

  void check() const noexcept {
    bool seen = hand_ == nullptr;
    queue_.check([&](const node& one) {
      seen = seen || &one == hand_;
      return one.place == 1;
    });
    structure_check(seen, "the hand points at no entry");
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  node_list<node> queue_;
  node* hand_ = nullptr;  // where the next pass begins; null: at the oldest
};

}  // namespace tenure::eviction
