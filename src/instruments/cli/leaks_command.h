// `tenure leaks`: blocks that nothing leads to any more, and blocks that were never freed.
//
//   PID         a process that runs is looked through now; stacks are those of sampled blocks
//   -- CMD      each process of the command is looked through when it ends; everything is recorded, so each leaked
//               block has its stack
//   FILE        what a recording says was never freed
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/leaks_report.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/scan_request.h"

namespace tenure::cli {

struct leaks_options {
  scan_request request;                               // of a process, or of a command
  recording_query query;                              // without both
  std::optional<std::filesystem::path> suppressions;  // the file of rules
  std::optional<std::filesystem::path> output;
  std::optional<int> exit_code;  // what it ends with when there are definite leaks, and CMD itself ended with 0
  bool tells_reachable = false;  // and who holds what is reachable
  bool is_json = false;
  leaks_view view;
  color_choice color = color_choice::automatic;
};

int leaks_command(const leaks_options& options);

}  // namespace tenure::cli
