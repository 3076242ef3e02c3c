// `tenure check`: limits on a recording's figures, for builds that fail when memory gets worse.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/check_report.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct check_options {
  std::vector<written_gate> gates;
  std::filesystem::path recording;               // to read; with a command, where to keep what is recorded, or empty
  std::vector<std::string> command;              // to run and record; empty: the recording is there
  std::vector<std::filesystem::path> baselines;  // may be empty
  recording_query query;                         // all but the recording
  std::optional<std::filesystem::path> suppressions;
  std::optional<std::filesystem::path> output;  // standard output without it, or standard error beside a command
  std::optional<std::filesystem::path> junit;
  bool is_json = false;
  bool is_quiet = false;  // only limits that are broken
  std::size_t top = 5;    // call sites below such a limit
  color_choice color = color_choice::automatic;
  std::optional<std::filesystem::path> preload;  // the heap; find_preload_library() without it
};

// The limits of the command line, in the order of the options. The error is a sentence.
std::expected<std::vector<written_gate>, std::string> gates_of(const arguments& given);

// The exit code of `tenure check`: 0, 1 when a limit is broken, 3 when the recording does not tell, the program's own,
// or one of Tenure's.
int check_command(const check_options& options);

}  // namespace tenure::cli
