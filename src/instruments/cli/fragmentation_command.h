// `tenure fragmentation`: where the memory of a heap is that the program does not have, and who keeps it.
//
//   PID      a process that runs, now; which call sites pin what is known of blocks that were recorded
//   -- CMD   each process of the command when it ends; everything is recorded
//   FILE     a recording, at one moment of it: how much is exact, who pins it is told as a bound
#pragma once

#include <filesystem>
#include <optional>

#include "instruments/cli/fragmentation_report.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/scan_request.h"

namespace tenure::cli {

struct fragmentation_options {
  scan_request request;   // of a process, or of a command
  recording_query query;  // without both: a recording; its selection is of all three
  bool at_peak = false;   // of the recording
  std::optional<std::filesystem::path> output;
  bool is_json = false;
  fragmentation_view view;
  color_choice color = color_choice::automatic;
};

int fragmentation_command(const fragmentation_options& options);

}  // namespace tenure::cli
