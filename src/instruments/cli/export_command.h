// `tenure export`: a recording in the format of another tool.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "instruments/cli/recording_input.h"

namespace tenure::cli {

struct export_options {
  recording_query query;
  std::string format;  // folded, speedscope, dhat, heaptrack, csv, pprof
  std::string value;   // peak, inuse, alloc, freed
  bool in_blocks = false;
  std::optional<std::filesystem::path> output;  // standard output without it
};

int export_command(const export_options& options);

}  // namespace tenure::cli
