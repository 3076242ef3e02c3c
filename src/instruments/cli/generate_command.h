// `tenure generate`: what describes the commands, written by the command itself while it is built.
#pragma once

#include <string>
#include <vector>

namespace tenure::cli {

int generate_command(const std::vector<std::string>& words);

}  // namespace tenure::cli
