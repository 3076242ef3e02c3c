// LIRS: what goes is what has the longest distance between its last two accesses, not what was last asked for the
// longest ago.
//
//   S  newest [ L h g L h L g ... L ] oldest    L: low distance, stays. h: high distance, here, next to go.
//   Q  newest [ h h h ] oldest -> gone          g: high distance, gone, remembered (a ghost)
//
// S orders by last access whatever was asked for more recently than the oldest L, which is always its last; Q holds all
// h. An h or g that is asked for while it is in S has a shorter distance than the oldest L, and the two change places.
// 99 % of the capacity is for L. Source: Jiang and Zhang, LIRS: an efficient low inter-reference recency set
// replacement policy, SIGMETRICS 2002. The paper sets no limit to g; here their weights sum to at most twice the
// capacity, and the one that has been gone the longest is forgotten first.
//
// When to use it: loops and scans longer than the cache. When not: pure recency in a small cache, where 1 % is little
// to learn in. Cost: 48 bytes an entry and 64 to 112 for each remembered one.
#pragma once

#include <algorithm>

#include <tenure/eviction/ghost_pool.hpp>

namespace tenure::eviction {

class lirs : public policy_base<lirs> {
 public:
  using node = lirs_node;
  static constexpr std::string_view name = "lirs";

  explicit lirs(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity), ghosts_(side_limit_bytes) {}

  std::uint64_t used() const noexcept { return low_weight_ + queue_.weight(); }
  std::size_t count() const noexcept { return low_count_ + queue_.count(); }
  std::size_t side_bytes() const noexcept { return ghosts_.size_bytes(); }

  void hit(node& one) noexcept {
    if (one.place == low) {
      stack_.move_to_front(one);
      return prune();
    }
    if (one.mark != 0) {
      stack_.move_to_front(one);
      queue_.erase(one);
      return promote(one);
    }
    one.mark = 1;
    stack_.push_front(one);
    queue_.move_to_front(one);
    prune();
  }

  void expect(node& one) noexcept {
    // Whether it comes back while it is remembered must be known before making room forgets more.
    node* const before = ghosts_.find(one.identity);
    one.place = before != nullptr ? low : high;
    if (before != nullptr) forget(*before);
  }

  void admit(node& one) noexcept {
    one.mark = 1;
    stack_.push_front(one);
    if (one.place == low) return promote(one);
    if (low_weight_ + one.weight <= low_limit()) {
      one.place = low;
      low_weight_ += one.weight;
      ++low_count_;
    } else {
      queue_.push_front(one);
    }
    prune();
  }

  void erase(node& one) noexcept {
    if (one.mark != 0) stack_.erase(one);
    if (one.place == low) {
      low_weight_ -= one.weight;
      --low_count_;
    } else {
      queue_.erase(one);
    }
    one.place = one.mark = 0;
    prune();
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (queue_.empty() && !demote()) return false;
    node& victim = queue_.back();
    queue_.erase(victim);
    if (victim.mark != 0) remember(victim);
    victim.place = victim.mark = 0;
    prune();
    evict(victim);
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    while (low_weight_ > low_limit()) demote();
    while (ghosts_.weight() > 2 * capacity_) forget(ghosts_.oldest());
  }

  void check() const noexcept {
    std::uint64_t low_weight = 0;
    std::size_t low_count = 0, ghosts = 0;
    bool last_is_low = true;
    stack_.check([&](const node& one) {
      last_is_low = one.place == low;
      if (last_is_low) low_weight += one.weight, ++low_count;
      if (one.place == gone) ++ghosts;
      return one.place == gone || one.mark == 1;
    });
    queue_.check([](const node& one) { return one.place == high; });
    ghosts_.check([](const node& one) { return one.place == gone; });
    structure_check(low_weight == low_weight_ && low_count == low_count_, "sums of the low entries");
    structure_check(last_is_low, "the last of S is not low");
    structure_check(ghosts == ghosts_.count() && ghosts_.weight() <= 2 * capacity_, "ghosts of S");
    structure_check(used() <= capacity_ && low_weight_ <= low_limit(), "more than the capacity");
  }

 private:
  // mark: whether it is in S. A ghost always is.
  enum : std::uint8_t { low = 1, high = 2, gone = 3 };

  std::uint64_t low_limit() const noexcept {
    return capacity_ - std::min(std::max<std::uint64_t>(capacity_ / 100, 1), capacity_);
  }

  // `one` is at the front of S and in no queue.
  void promote(node& one) noexcept {
    one.place = low;
    low_weight_ += one.weight;
    ++low_count_;
    while (low_weight_ > low_limit()) demote();
    prune();
  }

  // The oldest low entry becomes high: out of S, and the newest of Q. S always ends with a low one.
  bool demote() noexcept {
    if (low_count_ == 0) return false;
    node& oldest = stack_.back();
    stack_.erase(oldest);
    low_weight_ -= oldest.weight;
    --low_count_;
    oldest.place = high;
    oldest.mark = 0;
    queue_.push_front(oldest);
    prune();
    return true;
  }

  // What lies behind the oldest low entry has a longer distance than any low one, whenever it is asked for again.
  void prune() noexcept {
    while (!stack_.empty() && stack_.back().place != low) {
      node& last = stack_.back();
      if (last.place == gone) {
        forget(last);
      } else {
        stack_.erase(last);
        last.mark = 0;
      }
    }
  }

  // A ghost takes the place of `one` in S.
  void remember(node& one) noexcept {
    while (ghosts_.count() > 0 && ghosts_.weight() + one.weight > 2 * capacity_) forget(ghosts_.oldest());
    if (ghosts_.full() && ghosts_.count() > 0) forget(ghosts_.oldest());
    node* const record = ghosts_.full() ? nullptr : ghosts_.add(one.identity, one.weight);
    if (record == nullptr) return stack_.erase(one);
    record->place = gone;
    stack_.replace(one, *record);
  }

  void forget(node& record) noexcept {
    stack_.erase(record);
    ghosts_.forget(record);
  }

  node_list<node, 0> stack_;
  node_list<node, 1> queue_;
  ghost_pool<node> ghosts_;
  std::uint64_t low_weight_ = 0;
  std::size_t low_count_ = 0;
};

}  // namespace tenure::eviction
