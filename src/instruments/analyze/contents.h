// Contents: live objects of the accounts whose owners sample them, managed heaps, by type and by call site.
#pragma once

#include <vector>

#include "instruments/analyze/profile.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {

std::vector<account_contents> contents_of(const process_profile& of, frame_resolver& frames);

}  // namespace tenure::analyze
