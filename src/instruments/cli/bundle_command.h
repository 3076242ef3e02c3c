// `tenure bundle`: a recording with its names in it, for another machine.
#pragma once

#include <filesystem>

namespace tenure::cli {

struct bundle_options {
  std::filesystem::path recording;
  std::filesystem::path output;
  bool uses_debuginfod = false;
  bool is_quiet = false;
};

int bundle_command(const bundle_options& options);

}  // namespace tenure::cli
