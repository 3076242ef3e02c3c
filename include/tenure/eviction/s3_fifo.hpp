// S3-FIFO: three FIFO queues. A small one takes in newcomers and throws out fast what is not asked for again.
//
//   new -> [ small, a tenth ] --asked for twice--> [ main: passes an entry once for each of up to 3 hits ] -> gone
//                 |                                   ^
//                 v                                   | asked for again
//            ( ghost: identities, as many as main ) --
//
// Source: Yang and others, FIFO queues are all you need for cache eviction, SOSP 2023, algorithm 1, a victim at a time:
// when main is full for what is to move there, one goes from main, and no second one from small unless there is still
// no room. What moves to main has its count cleared.
//
// When to use it: web and key-value caches, most of whose entries are asked for once. When not: loops. Cost: 32 bytes
// an entry and 40 to 80 for each remembered one; a hit stores one byte.
#pragma once

#include <tenure/eviction/ghost_list.hpp>

namespace tenure::eviction {

class s3_fifo : public policy_base<s3_fifo> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "s3-fifo";

  explicit s3_fifo(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity), ghosts_(main_limit(), side_limit_bytes) {}

  std::uint64_t used() const noexcept { return small_.weight() + main_.weight(); }
  std::size_t count() const noexcept { return small_.count() + main_.count(); }
  std::size_t side_bytes() const noexcept { return ghosts_.size_bytes(); }

  void hit(node& one) noexcept {
    if (one.mark < 3) ++one.mark;
  }

  void expect(node& one) noexcept { one.place = ghosts_.forget(one.identity) ? main : small; }

  void admit(node& one) noexcept {
    one.mark = 0;
    list_of(one).push_front(one);
  }

  void erase(node& one) noexcept {
    list_of(one).erase(one);
    one.place = 0;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (count() == 0) return false;
    const bool from_small = !small_.empty() && (small_.weight() >= small_limit() || main_.empty());
    if (!from_small || !evict_small(evict)) evict_main(evict);
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    ghosts_.set_weight_limit(main_limit());
  }

  void check() const noexcept {
    small_.check([](const node& one) { return one.place == small && one.mark <= 3; });
    main_.check([](const node& one) { return one.place == main && one.mark <= 3; });
    ghosts_.check();
    structure_check(used() <= capacity_, "more than the capacity");
  }

 private:
  enum : std::uint8_t { small = 1, main = 2 };
  node_list<node>& list_of(const node& one) noexcept { return one.place == main ? main_ : small_; }
  std::uint64_t small_limit() const noexcept { return capacity_ / 10; }
  std::uint64_t main_limit() const noexcept { return capacity_ - small_limit(); }

  // False when all that small had to move on; or when main is full for what is to move there next: one has to go there.
  template <class evict_function>
  bool evict_small(evict_function& evict) {
    while (!small_.empty()) {
      node& last = small_.back();
      if (last.mark <= 1) {
        erase(last);
        ghosts_.add(last.identity, last.weight);
        evict(last);
        return true;
      }
      if (!main_.empty() && main_.weight() + last.weight > main_limit()) return false;
      small_.erase(last);
      last.place = main;
      last.mark = 0;
      main_.push_front(last);
    }
    return false;
  }

  template <class evict_function>
  void evict_main(evict_function& evict) {
    while (main_.back().mark > 0) {
      --main_.back().mark;
      main_.move_to_front(main_.back());
    }
    node& victim = main_.back();
    erase(victim);
    evict(victim);
  }

  node_list<node> small_, main_;
  ghost_list ghosts_;
};

}  // namespace tenure::eviction
