// Memory parts: where the resident bytes of a process live, in parts that sum to RSS exactly.
//
//   smaps ──► each mapping to one part by its address and name
//               inside the heap's window ──► split by the heap's counters and the live samples of that moment:
//                   [ live, requested | rounding | thread caches | free in spans | free pages ]
//               a file, and the zeroed data (.bss) that follows it ──► files, by module
//               [stack], shared memory, Tenure's region ...
//
// The kernel's figures are the frame: what the heap counts or the samples estimate is cut to what is resident, so the
// estimate stands beside its part and never in the sum twice.
#pragma once

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

// `live` is what the samples say to be live at the moment of `map`.
memory_breakdown break_down_memory(const collect::memory_map& map, const amount& live);

const char* name_of(part_kind kind);
// The stable word for it in JSON.
const char* code_of(part_kind kind);

}  // namespace tenure::analyze
