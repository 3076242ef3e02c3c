#include "instruments/analyze/aggregate.h"

#include <algorithm>
#include <cmath>

#include "instruments/analyze/lifetime.h"

namespace tenure::analyze {

amount weight_of(const collect::sample& sample) {
  const double ratio = sample.interval_bytes == 0
                           ? 0
                           : static_cast<double>(sample.usable_bytes) / static_cast<double>(sample.interval_bytes);
  // Without an interval every block is told: each stands for itself.
  const double probability = sample.interval_bytes == 0 ? 1 : -std::expm1(-ratio);
  const double variance_of_one = (1 - probability) / (probability * probability);
  const auto sum_of = [&](double size) { return estimate{size / probability, variance_of_one * size * size}; };
  return {sum_of(static_cast<double>(sample.requested_bytes)), sum_of(static_cast<double>(sample.usable_bytes)),
          sum_of(1), 1};
}

interval_range intervals_of(const std::vector<collect::sample>& samples) {
  if (samples.empty()) return {};
  interval_range result{samples.front().interval_bytes, 0, 0};
  double sum = 0;
  for (const collect::sample& one : samples) {
    result.least_bytes = std::min(result.least_bytes, one.interval_bytes);
    result.greatest_bytes = std::max(result.greatest_bytes, one.interval_bytes);
    sum += static_cast<double>(one.interval_bytes);
  }
  result.mean_bytes = static_cast<std::uint64_t>(sum / static_cast<double>(samples.size()));
  return result;
}

replay replay_samples(const std::vector<collect::sample>& samples) {
  struct change {
    std::uint64_t time_ns;
    std::uint32_t sample;
    bool is_free;
  };
  std::vector<change> changes;
  changes.reserve(samples.size() * 2);
  for (std::uint32_t index = 0; index < samples.size(); ++index) {
    changes.push_back({samples[index].time_ns, index, false});
    if (samples[index].is_freed()) changes.push_back({samples[index].free_time_ns, index, true});
  }
  // At one and the same time allocations come first, so that a block is never freed before it is there.
  std::stable_sort(changes.begin(), changes.end(), [](const change& a, const change& b) {
    return a.time_ns != b.time_ns ? a.time_ns < b.time_ns : a.is_free < b.is_free;
  });

  replay result;
  result.steps.reserve(changes.size());
  std::size_t peak_change = 0;
  double live = 0;
  for (std::size_t index = 0; index < changes.size(); ++index) {
    const double bytes = weight_of(samples[changes[index].sample]).bytes.value;
    live = std::max(0.0, live + (changes[index].is_free ? -bytes : bytes));
    result.steps.push_back({changes[index].time_ns, live});
    if (live > result.peak_bytes) {
      result.peak_bytes = live;
      result.peak_time_ns = changes[index].time_ns;
      peak_change = index + 1;
    }
  }
  result.live_at_peak.assign(samples.size(), false);
  for (std::size_t index = 0; index < peak_change; ++index)
    result.live_at_peak[changes[index].sample] = !changes[index].is_free;
  return result;
}

double live_bytes_at(const replay& course, std::uint64_t time_ns) {
  const auto after = std::upper_bound(course.steps.begin(), course.steps.end(), time_ns,
                                      [](std::uint64_t time, const replay::step& step) { return time < step.time_ns; });
  return after == course.steps.begin() ? 0 : std::prev(after)->live_bytes;
}

amount live_amount_at(const std::vector<collect::sample>& samples, std::uint64_t time_ns) {
  amount result;
  for (const collect::sample& one : samples)
    if (one.time_ns <= time_ns && one.free_time_ns > time_ns) result += weight_of(one);
  return result;
}

std::vector<call_site> aggregate(const std::vector<collect::sample>& samples, const replay& course,
                                 std::uint64_t end_ns, std::uint32_t key_count,
                                 const std::function<std::uint32_t(std::size_t)>& key_of) {
  std::vector<call_site> sites(key_count);
  std::vector<std::vector<std::uint32_t>> members(key_count);
  for (std::size_t index = 0; index < samples.size(); ++index) {
    const std::uint32_t key = key_of(index);
    const amount weight = weight_of(samples[index]);
    call_site& site = sites[key];
    if (!samples[index].is_inherited) {
      site.allocated += weight;
      members[key].push_back(static_cast<std::uint32_t>(index));
    } else {
      site.inherited += weight;
      if (samples[index].is_freed()) site.inherited_freed += weight;
    }
    if (course.live_at_peak[index]) site.live_at_peak += weight;
    if (!samples[index].is_freed()) site.live_at_exit += weight;
  }
  for (std::uint32_t key = 0; key < key_count; ++key)
    sites[key].lifetimes = summarize_lifetimes(samples, members[key], end_ns);
  return sites;
}

}  // namespace tenure::analyze
