// 2Q, the full version: a new entry must be asked for again after it has left a short FIFO before it counts as hot.
//
//   new --> [ in: FIFO, a quarter ] --> (out: identities only, half the capacity) --asked again--> [ main: LRU ]
//
// A hit in `in` changes nothing: accesses that come in a burst are one. Source: Johnson and Shasha, 2Q: a low overhead
// high performance buffer management replacement algorithm, VLDB 1994, with their Kin = 25 % and Kout = 50 %.
//
// When to use it: database pages and block devices. Cost: 32 bytes an entry and 40 to 80 for each remembered one.
#pragma once

#include <tenure/eviction/ghost_list.hpp>

namespace tenure::eviction {

class two_queue : public policy_base<two_queue> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "2q";

  explicit two_queue(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity), out_(capacity / 2, side_limit_bytes) {}

  std::uint64_t used() const noexcept { return in_.weight() + main_.weight(); }
  std::size_t count() const noexcept { return in_.count() + main_.count(); }
  std::size_t side_bytes() const noexcept { return out_.size_bytes(); }

  void hit(node& one) noexcept {
    if (one.place == main) main_.move_to_front(one);
  }

  void expect(node& one) noexcept { one.mark = out_.forget(one.identity) ? 1 : 0; }

  void admit(node& one) noexcept {
    one.place = one.mark != 0 ? main : in;
    list_of(one).push_front(one);
  }

  void erase(node& one) noexcept {
    list_of(one).erase(one);
    one.place = 0;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (count() == 0) return false;
    const bool from_in = in_.weight() > capacity_ / 4 || main_.empty();
    node& victim = from_in ? in_.back() : main_.back();
    erase(victim);
    if (from_in) out_.add(victim.identity, victim.weight);
    evict(victim);
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    out_.set_weight_limit(capacity / 2);
  }

  void check() const noexcept {
    in_.check([](const node& one) { return one.place == in; });
    main_.check([](const node& one) { return one.place == main; });
    out_.check();
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  enum : std::uint8_t { in = 1, main = 2 };
  node_list<node>& list_of(const node& one) noexcept { return one.place == main ? main_ : in_; }

  node_list<node> in_, main_;
  ghost_list out_;
};

}  // namespace tenure::eviction
