// Random: any entry may go, all with the same chance.
//
// When to use it: as the yardstick that any policy must beat, and against access patterns made to defeat a policy. The
// choice is drawn from a seeded generator (SplitMix64), so that a run can be repeated. Cost: 24 bytes an entry and 8 in
// an array; a hit does nothing.
#pragma once

#include <vector>

#include <tenure/eviction/policy.hpp>

namespace tenure::eviction {

struct random_node : weighed {
  std::size_t index = 0;
};

class random_choice : public policy_base<random_choice> {
 public:
  using node = random_node;
  static constexpr std::string_view name = "random";

  // The array doubles, and while it does, the old one is there as well: 24 bytes an entry at most.
  explicit random_choice(std::uint64_t capacity, std::size_t side_limit_bytes = no_limit,
                         std::uint64_t seed = 1) noexcept
      : policy_base(capacity),
        count_limit_(side_limit_bytes < 3 * sizeof(node*) ? 1 : side_limit_bytes / (3 * sizeof(node*))),
        state_(seed) {}

  bool full() const noexcept { return entries_.size() >= count_limit_; }

  std::uint64_t used() const noexcept { return used_; }
  std::size_t count() const noexcept { return entries_.size(); }
  std::size_t side_bytes() const noexcept { return entries_.capacity() * sizeof(node*); }

  void hit(node&) noexcept {}

  void admit(node& one) {
    one.index = entries_.size();
    entries_.push_back(&one);
    one.place = 1;
    used_ += one.weight;
  }

  void erase(node& one) noexcept {
    entries_[one.index] = entries_.back();
    entries_[one.index]->index = one.index;
    entries_.pop_back();
    one.place = 0;
    used_ -= one.weight;
  }

  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    if (entries_.empty()) return false;
    node& victim = *entries_[static_cast<std::size_t>(draw() % entries_.size())];
    erase(victim);
    evict(victim);
    return true;
  }

  void check() const noexcept {
    std::uint64_t weight = 0;
    for (std::size_t index = 0; index < entries_.size(); ++index) {
      structure_check(entries_[index]->index == index && entries_[index]->place == 1, "an entry at a wrong index");
      weight += entries_[index]->weight;
    }
    structure_check(weight == used_ && used_ <= capacity_, "sums of the entries");
  }

 private:
  std::uint64_t draw() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

  std::vector<node*> entries_;
  std::uint64_t used_ = 0;
  std::size_t count_limit_;
  std::uint64_t state_;
};

}  // namespace tenure::eviction
