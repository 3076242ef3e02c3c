// `tenure fragmentation`: where the memory of a heap is that the program does not have, and who keeps it.
//
//   PID      a process that runs, now; which call sites pin what is known of blocks that were recorded
//   -- CMD   each process of the command when it ends; everything is recorded
#pragma once

#include <filesystem>
#include <optional>

#include "instruments/analyze/selection.h"
#include "instruments/cli/fragmentation_report.h"
#include "instruments/cli/scan_request.h"

namespace tenure::cli {

struct fragmentation_options {
  scan_request request;
  analyze::selection selected;
  bool uses_debuginfod = false;
  std::optional<std::filesystem::path> output;
  bool is_json = false;
  fragmentation_view view;
  color_choice color = color_choice::automatic;
};

int fragmentation_command(const fragmentation_options& options);

}  // namespace tenure::cli
