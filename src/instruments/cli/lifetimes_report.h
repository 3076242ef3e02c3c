// `tenure lifetimes`: how long blocks live, who frees them, and what reallocs cost.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "instruments/analyze/lifetimes.h"
#include "instruments/cli/recording_input.h"

namespace tenure::cli {

struct lifetimes_options : answer_form {
  recording_query query;
  command_request request;  // where it is given, that is recorded first
};

std::string lifetimes_text(const analyze::life_report& report, const lifetimes_options& options, bool uses_color);
std::string lifetimes_json(const analyze::life_report& report, const lifetimes_options& options);

// The exit code of `tenure lifetimes`: 0, 1 when the recording is damaged or was cut off, that of the command that was
// recorded, or one of Tenure's.
int lifetimes_command(const lifetimes_options& given);

}  // namespace tenure::cli
