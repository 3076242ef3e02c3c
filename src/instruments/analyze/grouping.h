// Grouping: call sites by what a reader can act on: function, source line, module, thread.
#pragma once

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {

// Fills sites and the four groupings of the profile. Groups by module and thread count every sample once; those by
// function and line name a stack by its user frame.
void group_sites(process_profile& profile, const replay& course, frame_resolver& frames);

}  // namespace tenure::analyze
