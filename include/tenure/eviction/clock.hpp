// CLOCK, or second chance: FIFO in which an entry that was asked for since the hand last passed is passed once more.
//
//            hand
//             v
//   oldest [ 0 1 0 0 1 ... ] newest        1: asked for; the hand clears it and goes on
//
// The ring is a list whose back is where the hand stands: what the hand passes goes to the front, which is the place
// just behind the hand. Source: Corbato, A paging experiment with the Multics system, 1968.
//
// When to use it: LRU's hit ratio, nearly, where moving a list entry on each hit is too much. Cost: 32 bytes an entry;
// a hit stores one byte.
#pragma once

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class clock : public policy_base<clock> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "clock";

  explicit clock(std::uint64_t capacity, std::size_t = no_limit) noexcept : policy_base(capacity) {}

  std::uint64_t used() const noexcept { return ring_.weight(); }
  std::size_t count() const noexcept { return ring_.count(); }
  std::size_t side_bytes() const noexcept { return 0; }

  void hit(node& one) noexcept { one.mark = 1; }

  void admit(node& one) noexcept {
    one.place = 1;
    one.mark = 0;
    ring_.push_front(one);
  }

  void erase(node& one) noexcept {
    one.place = 0;
    ring_.erase(one);
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (ring_.empty()) return false;
    while (ring_.back().mark != 0) {
      ring_.back().mark = 0;
      ring_.move_to_front(ring_.back());
    }
    node& victim = ring_.back();
    erase(victim);
    evict(victim);
    return true;
  }

  void check() const noexcept {
    ring_.check([](const node& one) { return one.place == 1; });
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  node_list<node> ring_;
};

}  // namespace tenure::eviction
