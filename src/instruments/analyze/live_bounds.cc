#include "instruments/analyze/live_bounds.h"

#include <vector>

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

// Takes `excess` from the usable bytes of parts that are estimated apart: from each by its variance, so that who is
// known well from many samples stays as it is, and the error goes where it came from. A sample was seen of each, so
// that a tenth of it stays; where all are down to that, the rest of the excess stays too.
void take_away(const std::vector<amount*>& parts, double excess) {
  constexpr double least_share = 0.1;
  std::vector<double> taken(parts.size(), 0);
  std::vector<bool> is_down(parts.size(), false);
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    double variance = 0;
    double left = excess;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      left -= is_down[i] ? taken[i] : 0;
      variance += is_down[i] ? 0 : parts[i]->usable_bytes.variance;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (is_down[i]) continue;
      const estimate& part = parts[i]->usable_bytes;
      const double most = (1 - least_share) * part.value;
      taken[i] = variance > 0 ? left * part.variance / variance : 0;
      if (taken[i] < most) continue;
      taken[i] = most;
      is_down[i] = goes_on = true;
    }
  }
  double whole = 0;
  double rest = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    whole += parts[i]->usable_bytes.value;
    rest += parts[i]->usable_bytes.value - taken[i];
  }
  // Less than that is left only where all are down to it; then the rest goes from each alike.
  const double further = rest > 0 ? (whole - excess) / rest : 1;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double value = parts[i]->usable_bytes.value;
    if (value > 0) scale(*parts[i], further * (value - taken[i]) / value);
  }
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
  for (amount call_site::*const moment : {&call_site::live_at_peak, &call_site::live_at_exit}) {
    const bool is_peak = moment == &call_site::live_at_peak;
    amount& live = is_peak ? profile.live_at_peak : profile.live_at_exit;
    const std::uint64_t bound = is_peak ? profile.bounds->peak_bytes : profile.bounds->exit_bytes;
    const double excess = live.usable_bytes.value - static_cast<double>(bound);
    (is_peak ? profile.bounds->applies_at_peak : profile.bounds->applies_at_exit) = excess > 0;
    if (excess <= 0) continue;
    live = bounded(live, bound);
    std::vector<amount*> parts;
    for (call_site& site : profile.sites) parts.push_back(&(site.*moment));
    take_away(parts, excess);
    live.bytes.value = live.blocks.value = 0;
    for (const amount* part : parts) {
      live.bytes.value += part->bytes.value;
      live.blocks.value += part->blocks.value;
    }
    for (auto* const groups : {&profile.by_function, &profile.by_line, &profile.by_module, &profile.by_thread}) {
      parts.clear();
      for (site_group& group : *groups) parts.push_back(&(group.totals.*moment));
      take_away(parts, excess);
    }
  }
}

}  // namespace tenure::analyze
