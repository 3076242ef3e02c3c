// The pages of docs/reference that are made from tables.
#pragma once

#include <string>

namespace tenure::cli {

std::string reference_of_commands();  // docs/reference/commands.md
std::string reference_of_options();   // docs/reference/options.md

}  // namespace tenure::cli
