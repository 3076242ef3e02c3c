// Which of several policies would hit most: each simulated on the same sample of the identities, with a capacity as
// much smaller as the sample.
//
// Sampling is by hash of the identity, so that an identity is in the sample with all its requests or with none
// (Waldspurger and others, Efficient MRC construction with SHARDS, FAST 2015). All are, while the cache is small; when
// the simulations hold more entries than they may, half of the identities leave the sample and the capacities are
// halved.
//
// For each candidate the hits by which it is ahead of the active one are summed up, never below zero: a CUSUM test
// (Page, Continuous inspection schemes, 1954), which needs no window. It has won when the sum reaches what a change
// costs, which is a miss for each entry that it holds and the active one does not. Two policies that hold different
// parts of a loop are ahead by turns, and by as much as that at most: they do not relieve each other.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include <tenure/eviction/simulation.hpp>

namespace tenure::eviction {

template <policy... candidates>
class contest {
 public:
  static constexpr std::size_t count = sizeof...(candidates);

  // `most_entries`: how many a simulation may hold.
  contest(std::uint64_t capacity, std::size_t most_entries)
      : simulations_(always<candidates>(capacity)...), capacity_(capacity), most_entries_(most_entries) {}

  // Tells of a request; gives the number of the candidate that is to be the active one from now on.
  std::size_t observe(const weighed& one, std::size_t active) {
    if (most_entries_ == 0 || !is_sampled(one.identity)) return active;
    const std::uint64_t identity = one.identity;
    const std::uint32_t weight = one.weight;
    std::array<bool, count> hits{};
    std::size_t entries = 0;
    each([&](std::size_t number, auto& cache) {
      hits[number] = cache.access(identity, weight);
      entries = std::max(entries, cache.policy().count());
    });
    if (entries > most_entries_) thin_out();
    return winner(hits, active, entries);
  }

  void set_capacity(std::uint64_t capacity) {
    capacity_ = capacity;
    each([&](std::size_t, auto& cache) { cache.set_capacity(capacity_ >> shift_); });
  }

  // Whether the candidate would hold it now; of an identity in the sample.
  bool holds(std::size_t candidate, std::uint64_t identity) {
    bool found = false;
    each([&](std::size_t number, const auto& cache) {
      found = found || (number == candidate && cache.contains(identity));
    });
    return found;
  }
  // One in 2^shift identities is sampled.
  unsigned sampling_shift() const noexcept { return shift_; }
  std::size_t size_bytes() const noexcept {
    return std::apply([](const auto&... cache) { return (cache.size_bytes() + ...); }, simulations_);
  }
  void check() const noexcept {
    std::apply([](const auto&... cache) { (cache.check(), ...); }, simulations_);
  }

 private:
  // A simulation can be neither copied nor moved: each is made in place, from the capacity.
  template <class>
  static std::uint64_t always(std::uint64_t capacity) noexcept {
    return capacity;
  }

  template <class function>
  void each(function call) {
    std::apply(
        [&](auto&... cache) {
          std::size_t number = 0;
          (call(number++, cache), ...);
        },
        simulations_);
  }

  bool is_sampled(std::uint64_t identity) const noexcept {
    std::uint64_t mixed = (identity ^ identity >> 32) * 0xd6e8feb86659fd93u;
    mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93u;
    return (mixed >> 20 & ((std::uint64_t{1} << shift_) - 1)) == 0;
  }

  void thin_out() {
    ++shift_;
    each([&](std::size_t, auto& cache) {
      cache.retain([this](std::uint64_t identity) { return is_sampled(identity); });
      cache.set_capacity(capacity_ >> shift_);
    });
  }

  std::size_t winner(const std::array<bool, count>& hits, std::size_t active, std::size_t entries) {
    if (++quiet_ >= quiet_rounds * entries) {
      caution_ = std::max(caution_ / 2, least_caution);
      quiet_ = 0;
    }
    std::size_t best = active;
    for (std::size_t number = 0; number < count; ++number) {
      lead_[number] = std::max(0, lead_[number] + int{hits[number]} - int{hits[active]});
      if (lead_[number] > lead_[best]) best = number;
    }
    if (lead_[best] < next_look_) return active;
    const int cost = least_lead + price_of(best, active) * caution_;
    if (lead_[best] < cost) {
      next_look_ = std::max(lead_[best] + (cost - lead_[best]) / 2, lead_[best] + 1);
      return active;
    }
    lead_.fill(0);
    next_look_ = least_lead;
    caution_ = std::min(caution_ * 2, most_caution);
    quiet_ = 0;
    return best;
  }

  // Entries that `best` holds and `active` does not.
  int price_of(std::size_t best, std::size_t active) {
    int price = 0;
    each([&](std::size_t active_number, const auto& holder) {
      if (active_number != active) return;
      each([&](std::size_t number, const auto& other) {
        if (number == best) other.visit([&](const weighed& one) { price += holder.contains(one.identity) ? 0 : 1; });
      });
    });
    return price;
  }

  static constexpr int least_lead = 8;
  // How many times the cost a lead must be: more after a change, for as many requests as `quiet_rounds` times the
  // entries, so that what is ahead by turns is left.
  static constexpr int least_caution = 1, most_caution = 3;
  static constexpr std::size_t quiet_rounds = 512;

  std::tuple<simulation<candidates>...> simulations_;
  std::array<int, count> lead_{};
  int caution_ = least_caution;
  std::size_t quiet_ = 0;       // requests since the last change
  int next_look_ = least_lead;  // the lead at which the cost is worked out again
  std::uint64_t capacity_;
  std::size_t most_entries_;
  unsigned shift_ = 0;
};

}  // namespace tenure::eviction
