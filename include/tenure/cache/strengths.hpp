// The policies of a cache: one for its soft entries and, from the first firm one on, a second one for those.
//
//   capacity   [ firm entries .................. | soft entries ............ | free ]
//                their policy has all of it        theirs has what these leave
//
// Firm entries take what room they need, and the soft ones give way. Pressure asks the policy of the soft entries
// alone. Each of the two goes in the order of the cache's policy.
//
// Not promised to users of the library. Not thread-safe.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include <tenure/eviction/policy.hpp>

namespace tenure::detail {

template <class entry, eviction::policy Policy>
class strengths : eviction::not_copied {
  using node = typename Policy::node;

 public:
  strengths(std::uint64_t capacity, std::size_t side_limit_bytes)
      : capacity_(capacity), soft_(std::make_unique<Policy>(capacity, side_limit_bytes)) {}

  const Policy& soft() const noexcept { return *soft_; }
  bool has_firm() const noexcept { return firm_ != nullptr; }
  // Of the same capacity, and empty.
  void add_firm(std::unique_ptr<Policy> made) noexcept { firm_ = std::move(made); }

  std::size_t count() const noexcept { return soft_->count() + firm_count(); }
  std::size_t firm_count() const noexcept { return firm_ == nullptr ? 0 : firm_->count(); }
  std::size_t side_bytes() const noexcept { return soft_->side_bytes() + (firm_ == nullptr ? 0 : firm_->side_bytes()); }

  void hit(node& one) { of(one).hit(one); }
  void erase(node& one) noexcept { of(one).erase(one); }

  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    if (firm_ == nullptr) return soft_->insert(one, evict);
    if (&of(one) == firm_.get()) {
      firm_->insert(one, evict);
      return fit_soft(evict);
    }
    fit_soft(evict);
    if (left_by_firm() == 0) return evict(one);
    soft_->insert(one, evict);
  }

  template <class evict_function>
  bool evict_one(bool takes_firm, evict_function&& evict) {
    return soft_->evict_one(evict) || (takes_firm && firm_ != nullptr && firm_->evict_one(evict));
  }

  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    capacity_ = capacity;
    if (firm_ == nullptr) return soft_->set_capacity(capacity, evict);
    firm_->set_capacity(capacity, evict);
    fit_soft(evict);
  }

  void check() const noexcept {
    soft_->check();
    if (firm_ == nullptr) return;
    firm_->check();
    eviction::structure_check(soft_->used() + firm_->used() <= capacity_, "firm and soft are more than the capacity");
  }

 private:
  Policy& of(const node& one) noexcept { return static_cast<const entry&>(one).is_firm ? *firm_ : *soft_; }
  std::uint64_t left_by_firm() const noexcept { return capacity_ - std::min(capacity_, firm_->used()); }

  // A policy of no capacity is none: where nothing is left, nothing is put into it.
  template <class evict_function>
  void fit_soft(evict_function& evict) {
    const std::uint64_t left = left_by_firm();
    while (left == 0 && soft_->evict_one(evict)) {
    }
    const std::uint64_t wanted = std::max<std::uint64_t>(left, 1);
    if (soft_->capacity() != wanted) soft_->set_capacity(wanted, evict);
  }

  std::uint64_t capacity_;
  std::unique_ptr<Policy> soft_, firm_;
};

}  // namespace tenure::detail
