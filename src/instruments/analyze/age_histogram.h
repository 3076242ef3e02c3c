// Age histogram: how old blocks became, in buckets so narrow that a survival curve can be read off them.
//
// The buckets are the life classes (life_classes.h), sixteen to each doubling: an age is told to one part in sixteen,
// and the number of buckets grows with the logarithm of the oldest age, not with the number of blocks. An age is a time
// or a number of bytes allocated.
//
// The curve is Kaplan and Meier's ("Nonparametric estimation from incomplete observations", 1958) over bytes: a block
// that was never freed is censored at the age it had come to. Within a bucket deaths come before censorings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "instruments/analyze/life_classes.h"

namespace tenure::analyze {

constexpr std::uint32_t age_bucket_of(std::uint64_t age) { return life_class_of(age); }

// The greatest age in a bucket.
constexpr std::uint64_t age_bucket_end(std::uint32_t bucket) {
  constexpr std::uint32_t linear = 2u << life_class_bits;
  if (bucket < linear) return bucket;
  const std::uint32_t shift = (bucket >> life_class_bits) - 1;
  return ((std::uint64_t{bucket - (shift << life_class_bits)} + 1) << shift) - 1;
}

class age_histogram {
 public:
  struct bucket {
    std::uint32_t number = 0;
    std::uint64_t freed_bytes = 0;
    std::uint64_t left_bytes = 0;  // of blocks that were not freed when they were last seen
  };
  struct point {
    std::uint64_t age = 0;
    double alive = 1;  // share of the bytes that lives longer
  };

  void add(std::uint64_t age, std::uint64_t bytes, bool is_freed);
  age_histogram& operator+=(const age_histogram& other);

  // In order of age; only what is not empty.
  std::span<const bucket> buckets() const { return buckets_; }
  // The survival curve: a point for each age at which some died. Ages are the ends of their buckets.
  std::vector<point> curve() const;

 private:
  bucket& at(std::uint32_t number);
  std::vector<bucket> buckets_;
};

// The age after which `fraction` of the bytes is gone; absent when the curve does not come so far.
std::optional<std::uint64_t> age_when_gone(std::span<const age_histogram::point> curve, double fraction);

// The share alive after `age`; absent beyond the last age that was seen, unless all had died by then.
std::optional<double> alive_after(const age_histogram& of, std::span<const age_histogram::point> curve,
                                  std::uint64_t age);

}  // namespace tenure::analyze
