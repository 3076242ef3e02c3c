// Watched program: a command started on Tenure's heap and watched to its end, for every command that starts one.
//
//   check the program ──► session folder ──► prepare ──► collector
//
// Everything that can be refused is refused before the program starts.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "instruments/collect/collector.h"

namespace tenure::cli {

// Tenure itself failed.
inline constexpr int exit_internal = 70;

// What the command ends with, and why.
struct failure {
  int exit_code;
  std::string sentence;
};

int fail(const failure& why);

// Called when nothing but itself and the start can fail any more.
using prepare_function = std::function<std::expected<void, failure>(collect::collector_options&)>;

// `preload`: the heap to put under it; find_preload_library() without it.
std::expected<collect::recording, failure> watch(const std::vector<std::string>& command,
                                                 const std::optional<std::filesystem::path>& preload,
                                                 const prepare_function& prepare);

}  // namespace tenure::cli
