// `tenure import`: the data of another tool as a recording.
#pragma once

#include <filesystem>

namespace tenure::cli {

struct import_options {
  std::filesystem::path file;  // "-": standard input
  std::filesystem::path output;
  bool is_quiet = false;
  bool uses_debuginfod = false;
};

int import_command(const import_options& options);

}  // namespace tenure::cli
