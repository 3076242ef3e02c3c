// Completions for the three shells, made from the command table.
#pragma once

#include <string>

namespace tenure::cli {

std::string completion_for_bash();
std::string completion_for_zsh();
std::string completion_for_fish();

}  // namespace tenure::cli
