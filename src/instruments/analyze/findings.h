// Findings: what the figures say, in plain sentences. Each rule speaks only where the samples bear it out, and says its
// figures and their error.
#pragma once

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

std::vector<finding> find_all(const process_profile& profile);

}  // namespace tenure::analyze
