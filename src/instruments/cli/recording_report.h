// `tenure report`: what a recording says, exactly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "instruments/analyze/exact.h"
#include "instruments/cli/recording_input.h"

namespace tenure::cli {

struct recording_report_options : answer_form {
  recording_query query;
};

std::string recording_text(const analyze::exact_report& report, const recording_report_options& options,
                           bool uses_color);
std::string recording_json(const analyze::exact_report& report, const recording_report_options& options);

// The exit code of `tenure report`: 0, 1 when the recording is damaged or was cut off, or one of Tenure's.
int report_command(const recording_report_options& given);

}  // namespace tenure::cli
