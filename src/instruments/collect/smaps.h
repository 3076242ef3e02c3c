// Text of /proc/PID/smaps into mappings.
//
// The text comes from the kernel or, at exit, from a copy that the program put into its region; so a text that is cut
// off or makes no sense gives what was complete before the damage, never an error and never a guess.
#pragma once

#include <string_view>
#include <vector>

#include "instruments/collect/recording.h"

namespace tenure::collect {

// A mapping counts when its whole group of lines was there: one that is cut off before the next head line is left out
// when `is_truncated`.
std::vector<mapping> parse_smaps(std::string_view text, bool is_truncated);

// The same with the sum over the mappings.
memory_map make_memory_map(std::string_view text, bool is_truncated, std::uint64_t time_ns);

}  // namespace tenure::collect
