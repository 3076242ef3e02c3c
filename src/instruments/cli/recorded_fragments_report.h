// What `tenure fragmentation FILE` says: for people, and for programs.
#pragma once

#include <string>

#include "instruments/analyze/recorded_fragments.h"
#include "instruments/cli/fragmentation_report.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

std::string recorded_fragments_text(const analyze::recorded_fragmentation_report& report,
                                    const fragmentation_view& view, const palette& paint);
std::string recorded_fragments_json(const analyze::recorded_fragmentation_report& report,
                                    const fragmentation_view& view);

}  // namespace tenure::cli
