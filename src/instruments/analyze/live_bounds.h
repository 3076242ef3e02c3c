// Bounds of the live bytes: what the heap counted itself, which samples cannot exceed.
//
// A thread that allocates fast is sampled with a larger interval, and one block of it then stands for many megabytes.
// The heap's own counters are exact, though they tell of no call site; where the samples say more than they allow, what
// was live is made less, and that of each call site by its share of the variance: so the figures still add up, and a
// site that is known well does not pay for one that is known badly.
#pragma once

#include <cstdint>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// Of a process: nothing where the heap told no counters.
std::optional<live_bounds> live_bounds_of(const collect::process_record& record);

// `live` as it is, or scaled down so that its usable bytes are `bound_bytes`. The relative error stays.
amount bounded(const amount& live, std::uint64_t bound_bytes);

// Bounds what was live at the peak and at exit, in all and by call site.
void bound_live(process_profile& profile);

}  // namespace tenure::analyze
