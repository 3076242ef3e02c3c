// Manual pages in the man(7) macros, made from the command table and the heap's options.
#pragma once

#include <string>

#include "instruments/cli/command_table.h"

namespace tenure::cli {

std::string manual_of_tenure();                               // tenure(1)
std::string manual_of_command(const command_entry& command);  // tenure-COMMAND(1)
std::string manual_of_options();                              // tenure-options(7)

}  // namespace tenure::cli
