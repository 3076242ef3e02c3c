// The part of `tenure leaks` that says who holds what is still reachable.
#pragma once

#include <string>

#include "instruments/cli/json_text.h"
#include "instruments/cli/leaks_report.h"

namespace tenure::cli {

std::string holders_text(const analyze::leak_process& process, const leaks_view& view, const palette& paint);
// The members "held" and what was left out of it.
void write_holders(json_writer& json, const analyze::leak_process& process);

// One frame of a stack in a line of its own.
std::string stack_line(const analyze::frame& one, int columns);
std::string blocks_text(const analyze::exact_amount& amount);

}  // namespace tenure::cli
