// `tenure simulate`: what caches of several policies and sizes would have hit on a trace.
#pragma once

#include "instruments/cli/parser.h"

namespace tenure::cli {

int simulate_command(const arguments& given);

}  // namespace tenure::cli
