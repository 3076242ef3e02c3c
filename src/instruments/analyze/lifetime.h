// Lifetimes: how long the blocks of a site live, from its sampled blocks.
//
// A block that is still there at the end has lived at least so long: leaving it out would make lives look short, and
// counting it as dead would too. The Kaplan-Meier estimate takes such censored observations for what they are.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// `members` are indices of `samples`; lives that have not ended are cut off at `end_ns`.
lifetime_summary summarize_lifetimes(const std::vector<collect::sample>& samples,
                                     std::span<const std::uint32_t> members, std::uint64_t end_ns);

struct observed_life {
  std::uint64_t duration_ns = 0;
  double weight = 0;
  bool is_ended = false;
};

// The shortest duration by which a share `fraction` of the weight has ended, each by the Kaplan-Meier estimate; absent
// where the curve does not come so far. `lives` is sorted by duration in place.
std::vector<std::optional<std::uint64_t>> life_quantiles(std::vector<observed_life>& lives,
                                                         std::span<const double> fractions);

// Who freed most comes first.
void sort_freed_by(lifetime_summary& summary);

// The quantiles of the summary, from lives that were observed.
void set_quantiles(lifetime_summary& summary, std::vector<observed_life>& lives);

}  // namespace tenure::analyze
