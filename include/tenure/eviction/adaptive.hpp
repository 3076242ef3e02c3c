// Adaptive: runs the policy that would have hit most of late, among LIRS, S3-FIFO, LRU and W-TinyLFU.
//
//   requests --sample--> [ contest: the four, simulated small ] --the winner--v
//            --all-----> [ current: one of the four ]  <--what is hit-- [ former: gives up its entries first ]
//
// What the former policy holds is not all moved when another wins: an entry of it that is asked for moves over, and the
// rest makes room for newcomers. So a change costs no request more than a constant; while all identities are simulated,
// which is for no more than a thousand entries, what the winner would hold moves over at once.
//
// When to use it: unless you know better. Cost: 48 bytes an entry, what the current policy remembers, and the contest,
// which is at most about a MiB whatever the capacity; a hit costs that of the current policy, and of four more for a
// sampled identity.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <variant>

#include <tenure/eviction/contest.hpp>
#include <tenure/eviction/lirs.hpp>
#include <tenure/eviction/lru.hpp>
#include <tenure/eviction/s3_fifo.hpp>
#include <tenure/eviction/w_tiny_lfu.hpp>

namespace tenure::eviction {

class adaptive : public policy_base<adaptive> {
 public:
  using node = lirs_node;
  static constexpr std::string_view name = "adaptive";

  // Half of `side_limit_bytes` is for the contest, a quarter for each of the current and the former policy.
  explicit adaptive(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit)
      : policy_base(capacity),
        instance_limit_bytes_(side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 4),
        contest_(capacity, std::min<std::size_t>(side_limit_bytes / 2 / simulated_entry_bytes, most_simulated)),
        instances_{{{capacity, instance_limit_bytes_, 1}, {capacity, instance_limit_bytes_, 2}}} {}

  std::uint64_t used() const noexcept { return current().used() + former().used(); }
  std::size_t count() const noexcept { return current().count() + former().count(); }
  std::size_t side_bytes() const noexcept {
    return current().side_bytes() + former().side_bytes() + contest_.size_bytes();
  }

  // The policy that runs now, and how often that has changed.
  std::string_view current_name() const noexcept { return current().name(); }
  std::uint64_t changes() const noexcept { return changes_; }

  void hit(node& one) {
    observe(one);
    if (one.owner == current().owner()) return current().hit(one);
    former().erase(one);
    current().insert(one, [](node&) { structure_damaged("an entry that had room has none"); });
  }

  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    structure_check(one.place == 0, "an entry is inserted twice");
    observe(one);
    if (one.weight > capacity_) return evict(one);
    while (used() + one.weight > capacity_ && former().evict_one(evict)) {
    }
    current().insert(one, evict);
  }

  void erase(node& one) noexcept { (one.owner == current().owner() ? current() : former()).erase(one); }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    return former().evict_one(evict) || current().evict_one(evict);
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    capacity_ = capacity;
    while (used() > capacity_) evict_one(evict);
    current().set_capacity(capacity, evict);
    former().set_capacity(capacity, evict);
    contest_.set_capacity(capacity);
  }

  void check() const noexcept {
    current().check();
    former().check();
    contest_.check();
    structure_check(used() <= capacity_, "more than the capacity");
    structure_check(current().owner() != former().owner(), "two policies with one number");
  }

 private:
  static constexpr std::size_t most_simulated = 1024;
  // In all four together: nodes, tables, and the most that is remembered for an entry.
  static constexpr std::size_t simulated_entry_bytes = 1024;

  // One of the four, chosen at run time. `owner` tells its entries from those of the other instance.
  class instance {
   public:
    instance(std::uint64_t capacity, std::size_t side_limit_bytes, std::uint8_t owner)
        : policy_(std::in_place_index<0>, capacity, side_limit_bytes), owner_(owner) {}

    // It is empty.
    void become(std::size_t number, std::uint64_t capacity, std::size_t side_limit_bytes) {
      structure_check(count() == 0, "a policy with entries is replaced");
      if (number == 0) policy_.emplace<0>(capacity, side_limit_bytes);
      if (number == 1) policy_.emplace<1>(capacity, side_limit_bytes);
      if (number == 2) policy_.emplace<2>(capacity, side_limit_bytes);
      if (number == 3) policy_.emplace<3>(capacity, side_limit_bytes);
    }

    std::size_t number() const noexcept { return policy_.index(); }
    std::uint8_t owner() const noexcept { return owner_; }
    std::string_view name() const noexcept {
      return std::visit([](const auto& one) { return one.name; }, policy_);
    }
    std::uint64_t used() const noexcept {
      return std::visit([](const auto& one) { return one.used(); }, policy_);
    }
    std::size_t count() const noexcept {
      return std::visit([](const auto& one) { return one.count(); }, policy_);
    }
    std::size_t side_bytes() const noexcept {
      return std::visit([](const auto& one) { return one.side_bytes(); }, policy_);
    }
    void check() const noexcept {
      std::visit([](const auto& one) { one.check(); }, policy_);
    }
    void hit(node& one) noexcept {
      std::visit([&](auto& mine) { mine.hit(one); }, policy_);
    }
    void erase(node& one) noexcept {
      std::visit([&](auto& mine) { mine.erase(one); }, policy_);
    }
    template <class evict_function>
    void insert(node& one, evict_function&& evict) {
      one.owner = owner_;
      std::visit([&](auto& mine) { mine.insert(one, [&](auto& gone) { evict(static_cast<node&>(gone)); }); }, policy_);
    }
    template <class evict_function>
    bool evict_one(evict_function&& evict) {
      return std::visit(
          [&](auto& mine) { return mine.evict_one([&](auto& gone) { evict(static_cast<node&>(gone)); }); }, policy_);
    }
    template <class evict_function>
    void set_capacity(std::uint64_t capacity, evict_function&& evict) {
      std::visit([&](auto& mine) { mine.set_capacity(capacity, [&](auto& gone) { evict(static_cast<node&>(gone)); }); },
                 policy_);
    }

   private:
    std::variant<lirs, s3_fifo, lru, w_tiny_lfu> policy_;
    std::uint8_t owner_;
  };

  instance& current() noexcept { return instances_[current_]; }
  instance& former() noexcept { return instances_[1 - current_]; }
  const instance& current() const noexcept { return instances_[current_]; }
  const instance& former() const noexcept { return instances_[1 - current_]; }

  void observe(const node& one) {
    wanted_ = contest_.observe(one, wanted_);
    if (wanted_ == current().number()) return;
    // A third policy waits until the former one has given up all; the former one itself can come back at once.
    if (wanted_ != former().number()) {
      if (former().count() != 0) return;
      former().become(wanted_, capacity_, instance_limit_bytes_);
    }
    current_ = 1 - current_;
    ++changes_;
    if (contest_.sampling_shift() == 0) move_over();
  }

  // While all identities are simulated, it is known what the winner would hold: that moves over at once, the next to go
  // first, and what it would not hold stays with the former policy.
  void move_over() {
    node* kept = nullptr;
    node* last = nullptr;
    const auto unreachable = [](node&) { structure_damaged("an entry that had room has none"); };
    for (std::size_t left = former().count(); left > 0; --left) {
      former().evict_one([&](node& one) {
        if (contest_.holds(wanted_, one.identity)) return current().insert(one, unreachable);
        set_next_in_chain<node, 1>(one, nullptr);
        if (last == nullptr) {
          kept = &one;
        } else {
          set_next_in_chain<node, 1>(*last, &one);
        }
        last = &one;
      });
    }
    former().become(former().number(), capacity_, instance_limit_bytes_);
    while (kept != nullptr) {
      node& one = *kept;
      kept = next_in_chain<node, 1>(one);
      set_next_in_chain<node, 1>(one, nullptr);
      former().insert(one, unreachable);
    }
  }

  std::size_t instance_limit_bytes_;
  contest<lirs, s3_fifo, lru, w_tiny_lfu> contest_;
  std::array<instance, 2> instances_;
  std::size_t current_ = 0;
  std::size_t wanted_ = 0;  // the leader of the contest
  std::uint64_t changes_ = 0;
};

}  // namespace tenure::eviction
