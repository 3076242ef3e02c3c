#include "instruments/analyze/lifetime.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

namespace tenure::analyze {

std::vector<std::optional<std::uint64_t>> life_quantiles(std::vector<observed_life>& lives,
                                                         std::span<const double> fractions) {
  // Deaths before censorings of the same duration, as the estimator has it.
  std::sort(lives.begin(), lives.end(), [](const observed_life& a, const observed_life& b) {
    return a.duration_ns != b.duration_ns ? a.duration_ns < b.duration_ns : a.is_ended > b.is_ended;
  });
  std::vector<std::optional<std::uint64_t>> result(fractions.size());
  double at_risk = 0;
  for (const observed_life& life : lives) at_risk += life.weight;
  double surviving = 1;
  constexpr double rounding = 1e-9;
  for (std::size_t first = 0; first < lives.size();) {
    double ended = 0, gone = 0;
    std::size_t last = first;
    for (; last < lives.size() && lives[last].duration_ns == lives[first].duration_ns; ++last) {
      gone += lives[last].weight;
      if (lives[last].is_ended) ended += lives[last].weight;
    }
    if (at_risk > 0 && ended > 0) surviving *= std::max(0.0, 1 - ended / at_risk);
    for (std::size_t index = 0; index < fractions.size(); ++index)
      if (!result[index] && surviving <= 1 - fractions[index] + rounding) result[index] = lives[first].duration_ns;
    at_risk -= gone;
    first = last;
  }
  return result;
}

void sort_freed_by(lifetime_summary& summary) {
  std::stable_sort(summary.freed_by.begin(), summary.freed_by.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
}

void set_quantiles(lifetime_summary& summary, std::vector<observed_life>& lives) {
  static constexpr std::array fractions = {0.25, 0.5, 0.75, 0.9};
  const auto quantiles = life_quantiles(lives, fractions);
  summary.quartile_ns = quantiles[0];
  summary.median_ns = quantiles[1];
  summary.third_quartile_ns = quantiles[2];
  summary.ninth_decile_ns = quantiles[3];
}

lifetime_summary summarize_lifetimes(const std::vector<collect::sample>& samples,
                                     std::span<const std::uint32_t> members, std::uint64_t end_ns) {
  lifetime_summary result;
  std::vector<observed_life> lives;
  lives.reserve(members.size());
  std::map<std::uint32_t, double> bytes_by_free_stack;
  for (const std::uint32_t member : members) {
    const collect::sample& one = samples[member];
    const amount weight = weight_of(one);
    const std::uint64_t last_ns = one.is_freed() ? one.free_time_ns : std::max(end_ns, one.time_ns);
    const std::uint64_t duration_ns = last_ns - one.time_ns;
    lives.push_back({duration_ns, weight.bytes.value, one.is_freed()});
    if (!one.is_freed()) {
      result.never_freed += weight;
      continue;
    }
    result.freed += weight;
    const auto bucket = duration_ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width(duration_ns) - 1);
    result.freed_bytes_by_log2_ns[bucket] += weight.bytes.value;
    if (one.free_thread != one.thread) result.freed_by_other_thread_bytes += weight.bytes.value;
    bytes_by_free_stack[one.free_stack] += weight.bytes.value;
  }
  for (const auto& [stack, bytes] : bytes_by_free_stack) result.freed_by.push_back({stack, bytes});
  sort_freed_by(result);
  set_quantiles(result, lives);
  return result;
}

}  // namespace tenure::analyze
