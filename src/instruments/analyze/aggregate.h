// Aggregate: samples into sums by whatever they have in common, each sample unbiased before it is added.
//
//   samples, a key for each ──► one call_site a key: allocated, live at the peak, live at exit, lifetimes
//
// The peak is found by replaying allocations and frees in order of time: the moment at which the unbiased live bytes
// were greatest. What is live then is exactly what the replay holds then.
#pragma once

#include <functional>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// The course of the live bytes of one process.
struct replay {
  std::vector<bool> live_at_peak;  // parallel to the samples
  std::uint64_t peak_time_ns = 0;
  double peak_bytes = 0;

  struct step {
    std::uint64_t time_ns;
    double live_bytes;  // from this moment on
  };
  std::vector<step> steps;  // in order of time
};
replay replay_samples(const std::vector<collect::sample>& samples);

// Live bytes of the replay at `time_ns`.
double live_bytes_at(const replay& course, std::uint64_t time_ns);

// What is live at a moment, by allocation and free times.
amount live_amount_at(const std::vector<collect::sample>& samples, std::uint64_t time_ns);

// One site a key, in order of the keys; `key_of` gives a number below `key_count` for each sample's index.
std::vector<call_site> aggregate(const std::vector<collect::sample>& samples, const replay& course,
                                 std::uint64_t end_ns, std::uint32_t key_count,
                                 const std::function<std::uint32_t(std::size_t)>& key_of);

// The intervals that samples were taken with; all 0 without samples.
struct interval_range {
  std::uint64_t least_bytes = 0;
  std::uint64_t greatest_bytes = 0;
  std::uint64_t mean_bytes = 0;  // over the samples
};
interval_range intervals_of(const std::vector<collect::sample>& samples);

}  // namespace tenure::analyze
