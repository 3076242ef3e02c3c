// `tenure lifetimes`: how long blocks live, who frees them, and what reallocs cost.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "instruments/analyze/lifetimes.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct lifetimes_options {
  recording_query query;
  std::optional<std::filesystem::path> output;  // standard output without it
  bool is_json = false;
  bool shows_all = false;              // small processes too
  std::size_t top = 20;                // rows of each table
  int columns = usual_report_columns;  // of the text; lifetimes_command() asks the terminal
  color_choice color = color_choice::automatic;
};

std::string lifetimes_text(const analyze::life_report& report, const lifetimes_options& options, bool uses_color);
std::string lifetimes_json(const analyze::life_report& report, const lifetimes_options& options);

// The exit code of `tenure lifetimes`: 0, 1 when the recording is damaged or was cut off, or one of Tenure's.
int lifetimes_command(const lifetimes_options& given);

}  // namespace tenure::cli
