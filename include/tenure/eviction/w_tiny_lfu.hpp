// W-TinyLFU: a newcomer waits in a small LRU window; when it leaves that, it is let into the main part only if it has
// been asked for more often of late than what would have to go for it.
//
//   new -> [ window: LRU, 1 % ] --more frequent than the victim?--> [ probation: LRU ] <--> [ protected, 80 % ]
//                                        no: gone                        victim: its oldest
//
// How often something was asked for, also before it came, is estimated by a sketch of eight bytes an entry. Source:
// Einziger, Friedman and Manes, TinyLFU: a highly efficient cache admission policy, ACM Transactions on Storage, 2017.
//
// When to use it: skewed popularity that shifts slowly; scans and loops do not flush it. When not: bursts of recency,
// for which 1 % is a short window. Cost: 32 bytes an entry and 8 to 16 in the sketch.
#pragma once

#include <algorithm>

#include <tenure/eviction/frequency_sketch.hpp>
#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

class w_tiny_lfu : public policy_base<w_tiny_lfu> {
 public:
  using node = list_node;
  static constexpr std::string_view name = "w-tinylfu";

  explicit w_tiny_lfu(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit)
      : policy_base(capacity), sketch_(side_limit_bytes) {
    sketch_.expect_entries(1);
  }

  std::uint64_t used() const noexcept { return window_.weight() + probation_.weight() + protected_.weight(); }
  std::size_t count() const noexcept { return window_.count() + probation_.count() + protected_.count(); }
  std::size_t side_bytes() const noexcept { return sketch_.size_bytes(); }

  void hit(node& one) noexcept {
    sketch_.add(one.identity);
    if (one.place != probation) return list_of(one).move_to_front(one);
    move(one, guarded);
    while (protected_.weight() > protected_limit()) move(protected_.back(), probation);
  }

  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    structure_check(one.place == 0, "an entry is inserted twice");
    sketch_.expect_entries(count() + 1);
    sketch_.add(one.identity);
    if (one.weight > capacity_) return evict(one);
    const bool waits = one.weight <= window_limit();
    while (used() + one.weight > capacity_) {
      // Whoever is about to leave the window stands against the victim: its oldest, or a newcomer too heavy to wait.
      node* const candidate = !waits ? &one : leaves_window(one.weight) ? &window_.back() : nullptr;
      if (candidate == &one && !is_worth(one)) return evict(one);
      give_up(candidate == &one ? nullptr : candidate, evict);
    }
    one.place = waits ? window : probation;
    list_of(one).push_front(one);
    while (window_.weight() > window_limit()) move(window_.back(), probation);
  }

  void erase(node& one) noexcept {
    list_of(one).erase(one);
    one.place = 0;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (count() == 0) return false;
    give_up(leaves_window(1) ? &window_.back() : nullptr, evict);
    return true;
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    policy_base::set_capacity(capacity, evict);
    while (window_.weight() > window_limit()) move(window_.back(), probation);
    while (protected_.weight() > protected_limit()) move(protected_.back(), probation);
  }

  void check() const noexcept {
    window_.check([](const node& one) { return one.place == window; });
    probation_.check([](const node& one) { return one.place == probation; });
    protected_.check([](const node& one) { return one.place == guarded; });
    structure_check(used() <= capacity_, "more than the capacity");
    structure_check(window_.weight() <= window_limit(), "the window is too long");
    structure_check(protected_.weight() <= protected_limit(), "the protected part is too long");
  }

 private:
  enum : std::uint8_t { window = 1, probation = 2, guarded = 3 };

  std::uint64_t window_limit() const noexcept {
    return std::min(std::max<std::uint64_t>(capacity_ / 100, 1), capacity_);
  }
  std::uint64_t protected_limit() const noexcept { return (capacity_ - window_limit()) / 5 * 4; }
  bool leaves_window(std::uint32_t weight) const noexcept {
    return !window_.empty() && window_.weight() + weight > window_limit();
  }

  node_list<node>& list_of(const node& one) noexcept {
    return one.place == window ? window_ : one.place == probation ? probation_ : protected_;
  }
  void move(node& one, std::uint8_t place) noexcept {
    list_of(one).erase(one);
    one.place = place;
    list_of(one).push_front(one);
  }

  // Null when the main part is empty.
  node* victim() noexcept {
    return !probation_.empty() ? &probation_.back() : !protected_.empty() ? &protected_.back() : nullptr;
  }
  bool is_worth(const node& candidate) noexcept {
    node* const other = victim();
    return other == nullptr || sketch_.estimate(candidate.identity) > sketch_.estimate(other->identity);
  }

  // The victim goes, or the candidate where it is worth no more; a candidate that wins enters the main part.
  template <class evict_function>
  void give_up(node* candidate, evict_function& evict) {
    node* loser = victim();
    if (candidate != nullptr && loser != nullptr) {
      if (is_worth(*candidate)) {
        move(*candidate, probation);
      } else {
        loser = candidate;
      }
    }
    if (loser == nullptr) loser = &window_.back();
    erase(*loser);
    evict(*loser);
  }

  node_list<node> window_, probation_, protected_;
  frequency_sketch sketch_;
};

}  // namespace tenure::eviction
