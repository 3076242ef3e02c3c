// Report, as JSON: "tenure.report/1", documented in docs/reference/report-json.md.
#pragma once

#include <string>

#include "instruments/analyze/profile.h"

namespace tenure::cli {

inline constexpr const char* report_schema = "tenure.report/1";

// One document, ended by a line feed. Sites beyond `site_limit` of each list are left out, and their number is told.
std::string report_json(const analyze::profile& profile, std::size_t site_limit);

}  // namespace tenure::cli
