// Folded stacks: one line a stack, outermost frame first, as flame graph programs take them.
//
//   main;load_table;grow 1048576
//
// Stacks with the same names share a line. Where there are several processes, each is its own outermost frame.
#pragma once

#include <string>

#include "instruments/export/exact_stacks.h"

namespace tenure::exporting {

// In bytes, or in blocks. The lines sum to the report's total.
std::string write_folded(const analyze::exact_report& report, exact_measure by, bool in_blocks);

}  // namespace tenure::exporting
