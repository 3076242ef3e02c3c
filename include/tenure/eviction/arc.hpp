// ARC: two LRU lists, of what was asked for once and more than once, and a boundary between them that moves to
// where the hits are missed.
//
//        <------ L1, at most c ------>  <----- L2 ----->
//   ( B1 ghosts ) [ T1: once ]     [ T2: again ] ( B2 ghosts )
//                       T1 + T2 <= c, all four <= 2c
//
// A miss that B1 remembers says that T1 should have been larger and raises the target of T1; one in B2 lowers it.
// Source: Megiddo and Modha, ARC: a self-tuning, low overhead replacement cache, FAST 2003, figure 4; where entries
// have weights, its comparisons are of sums of weights and its steps are repeated until there is room.
//
// When to use it: a mixture of recency and frequency that changes slowly. When not: loops longer than the cache. Cost:
// 32 bytes an entry and 40 to 80 for each remembered one.
#pragma once

#include <algorithm>

#include <tenure/eviction/ghost_list.hpp>

namespace tenure::eviction {

class arc : public policy_base<arc> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "arc";

  explicit arc(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit) noexcept
      : policy_base(capacity),
        once_ghosts_(capacity, side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 3),
        again_ghosts_(2 * capacity, side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 3 * 2) {}

  std::uint64_t used() const noexcept { return once_.weight() + again_.weight(); }
  std::size_t count() const noexcept { return once_.count() + again_.count(); }
  std::size_t side_bytes() const noexcept { return once_ghosts_.size_bytes() + again_ghosts_.size_bytes(); }

  void hit(node& one) noexcept {
    list_of(one).erase(one);
    one.place = again;
    again_.push_front(one);
  }

  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    structure_check(one.place == 0, "an entry is inserted twice");
    if (one.weight > capacity_) return evict(one);
    bool in_again_ghosts = false;
    one.place = once;
    if (once_ghosts_.contains(one.identity)) {
      adapt(ratio(again_ghosts_, once_ghosts_), one.weight);
      once_ghosts_.forget(one.identity);
      one.place = again;
    } else if (again_ghosts_.contains(one.identity)) {
      adapt(-ratio(once_ghosts_, again_ghosts_), one.weight);
      again_ghosts_.forget(one.identity);
      one.place = again;
      in_again_ghosts = true;
    } else {
      forget_for(one.weight, evict);
    }
    while (used() + one.weight > capacity_) replace(in_again_ghosts, evict);
    list_of(one).push_front(one);
    trim();
  }

  void erase(node& one) noexcept {
    list_of(one).erase(one);
    one.place = 0;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (count() == 0) return false;
    replace(false, evict);
    trim();
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    once_ghosts_.set_weight_limit(capacity);
    again_ghosts_.set_weight_limit(2 * capacity);
    target_ = std::min(target_, static_cast<double>(capacity));
    trim();
  }

  void check() const noexcept {
    once_.check([](const node& one) { return one.place == once; });
    again_.check([](const node& one) { return one.place == again; });
    once_ghosts_.check();
    again_ghosts_.check();
    structure_check(used() <= capacity_, "more than the capacity");
    structure_check(once_.weight() + once_ghosts_.weight() <= capacity_, "L1 is longer than the capacity");
    structure_check(used() + once_ghosts_.weight() + again_ghosts_.weight() <= 2 * capacity_,
                    "the directory is too long");
    structure_check(target_ >= 0 && target_ <= static_cast<double>(capacity_), "the target is out of its range");
  }

 private:
  enum : std::uint8_t { once = 1, again = 2 };
  node_list<node>& list_of(const node& one) noexcept { return one.place == again ? again_ : once_; }

  static double ratio(const ghost_list& other, const ghost_list& own) noexcept {
    return std::max(1.0, static_cast<double>(other.weight()) / static_cast<double>(own.weight()));
  }

  void adapt(double step, std::uint32_t weight) noexcept {
    target_ = std::clamp(target_ + step * weight, 0.0, static_cast<double>(capacity_));
  }

  // Case IV of the paper: a newcomer of whom nothing is remembered needs a place in L1 and in the directory.
  template <class evict_function>
  void forget_for(std::uint32_t weight, evict_function& evict) {
    while (once_.weight() + once_ghosts_.weight() + weight > capacity_) {
      if (!once_ghosts_.empty()) {
        once_ghosts_.forget_oldest();
      } else {
        node& victim = once_.back();
        erase(victim);
        evict(victim);
      }
    }
    while (used() + once_ghosts_.weight() + again_ghosts_.weight() + weight > 2 * capacity_ && !again_ghosts_.empty()) {
      again_ghosts_.forget_oldest();
    }
  }

  template <class evict_function>
  void replace(bool in_again_ghosts, evict_function& evict) {
    const double once_weight = static_cast<double>(once_.weight());
    const bool from_once =
        again_.empty() || (!once_.empty() && (once_weight > target_ || (in_again_ghosts && once_weight == target_)));
    node& victim = from_once ? once_.back() : again_.back();
    erase(victim);
    (from_once ? once_ghosts_ : again_ghosts_).add(victim.identity, victim.weight);
    evict(victim);
  }

  // With equal weights nothing is ever too long here.
  void trim() noexcept {
    while (!once_ghosts_.empty() && once_.weight() + once_ghosts_.weight() > capacity_) once_ghosts_.forget_oldest();
    const auto too_long = [&] { return used() + once_ghosts_.weight() + again_ghosts_.weight() > 2 * capacity_; };
    while (!again_ghosts_.empty() && too_long()) again_ghosts_.forget_oldest();
    while (!once_ghosts_.empty() && too_long()) once_ghosts_.forget_oldest();
  }

  node_list<node> once_, again_;
  ghost_list once_ghosts_, again_ghosts_;
  double target_ = 0;  // of the weight of once_
};

}  // namespace tenure::eviction
