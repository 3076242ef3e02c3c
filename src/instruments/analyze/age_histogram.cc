#include "instruments/analyze/age_histogram.h"

#include <algorithm>

namespace tenure::analyze {

age_histogram::bucket& age_histogram::at(std::uint32_t number) {
  const auto place = std::lower_bound(buckets_.begin(), buckets_.end(), number,
                                      [](const bucket& one, std::uint32_t wanted) { return one.number < wanted; });
  if (place != buckets_.end() && place->number == number) return *place;
  return *buckets_.insert(place, {number, 0, 0});
}

void age_histogram::add(std::uint64_t age, std::uint64_t bytes, bool is_freed) {
  bucket& into = at(age_bucket_of(age));
  (is_freed ? into.freed_bytes : into.left_bytes) += bytes;
}

age_histogram& age_histogram::operator+=(const age_histogram& other) {
  for (const bucket& one : other.buckets_) {
    bucket& into = at(one.number);
    into.freed_bytes += one.freed_bytes;
    into.left_bytes += one.left_bytes;
  }
  return *this;
}

std::vector<age_histogram::point> age_histogram::curve() const {
  std::uint64_t at_risk = 0;
  for (const bucket& one : buckets_) at_risk += one.freed_bytes + one.left_bytes;
  std::vector<point> result;
  double alive = 1;
  for (const bucket& one : buckets_) {
    if (one.freed_bytes != 0) {
      alive *= static_cast<double>(at_risk - one.freed_bytes) / static_cast<double>(at_risk);
      result.push_back({age_bucket_end(one.number), alive});
    }
    at_risk -= one.freed_bytes + one.left_bytes;
  }
  return result;
}

std::optional<std::uint64_t> age_when_gone(std::span<const age_histogram::point> curve, double fraction) {
  constexpr double rounding = 1e-9;
  for (const age_histogram::point& one : curve)
    if (one.alive <= 1 - fraction + rounding) return one.age;
  return std::nullopt;
}

std::optional<double> alive_after(const age_histogram& of, std::span<const age_histogram::point> curve,
                                  std::uint64_t age) {
  double alive = 1;
  for (const age_histogram::point& one : curve) {
    if (one.age > age) break;
    alive = one.alive;
  }
  const auto buckets = of.buckets();
  const bool is_seen = !buckets.empty() && age <= age_bucket_end(buckets.back().number);
  return is_seen || (!curve.empty() && alive == 0) ? std::optional(alive) : std::nullopt;
}

}  // namespace tenure::analyze
