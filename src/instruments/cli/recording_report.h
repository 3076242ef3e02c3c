// `tenure report`: what a recording says, exactly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "instruments/analyze/exact.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct recording_report_options {
  recording_query query;
  std::optional<std::filesystem::path> output;  // standard output without it
  bool is_json = false;
  bool shows_all = false;              // small processes in full too
  std::size_t top = 20;                // rows of each table
  int columns = usual_report_columns;  // of the text; report_command() asks the terminal
  color_choice color = color_choice::automatic;
};

std::string recording_text(const analyze::exact_report& report, const recording_report_options& options,
                           bool uses_color);
std::string recording_json(const analyze::exact_report& report, const recording_report_options& options);

// The exit code of `tenure report`: 0, 1 when the recording is damaged or was cut off, or one of Tenure's.
int report_command(const recording_report_options& given);

}  // namespace tenure::cli
