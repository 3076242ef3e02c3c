#include "instruments/analyze/live_bounds.h"

#include "instruments/collect/heap_counters.h"

namespace tenure::analyze {
namespace {

double factor_of(const amount& live, std::uint64_t bound_bytes) {
  const double bound = static_cast<double>(bound_bytes);
  return live.usable_bytes.value > bound ? bound / live.usable_bytes.value : 1;
}

void scale(estimate& one, double factor) { one = {one.value * factor, one.variance * factor * factor}; }

void scale(amount& one, double factor) {
  scale(one.bytes, factor);
  scale(one.usable_bytes, factor);
  scale(one.blocks, factor);
}

}  // namespace

std::optional<live_bounds> live_bounds_of(const collect::process_record& record) {
  if (record.statistics.peak_committed_bytes == 0) return std::nullopt;
  return live_bounds{.peak_bytes = record.statistics.peak_committed_bytes,
                     .exit_bytes = collect::bytes_in_use(record.statistics)};
}

amount bounded(const amount& live, std::uint64_t bound_bytes) {
  amount result = live;
  scale(result, factor_of(live, bound_bytes));
  return result;
}

void bound_live(process_profile& profile) {
  profile.bounds = live_bounds_of(profile.record);
  if (!profile.bounds) return;
  const double at_peak = factor_of(profile.live_at_peak, profile.bounds->peak_bytes);
  const double at_exit = factor_of(profile.live_at_exit, profile.bounds->exit_bytes);
  profile.bounds->applies_at_peak = at_peak < 1;
  profile.bounds->applies_at_exit = at_exit < 1;
  scale(profile.live_at_peak, at_peak);
  scale(profile.live_at_exit, at_exit);
  const auto scale_site = [&](call_site& site) {
    scale(site.live_at_peak, at_peak);
    scale(site.live_at_exit, at_exit);
  };
  for (call_site& site : profile.sites) scale_site(site);
  for (auto* const groups : {&profile.by_function, &profile.by_line, &profile.by_module, &profile.by_thread})
    for (site_group& group : *groups) scale_site(group.totals);
}

}  // namespace tenure::analyze
