// Hit ratio plot: the hits of each policy over the size of the cache, which grows by a factor from left to right.
#pragma once

#include <string>

#include "instruments/cli/simulate_report.h"

namespace tenure::cli {

// A letter for each policy; where several meet, the one that comes first in the legend.
std::string plot_as_text(const simulation_answer& answer, int line_columns);

std::string plot_as_svg(const simulation_answer& answer);

}  // namespace tenure::cli
