// Help for a terminal, made from the command table.
#pragma once

#include <string>

#include "instruments/cli/command_table.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

// Two columns: a name, and a sentence that is broken to fit behind it.
std::string two_columns(std::string_view name, std::string_view text, int name_columns, int columns,
                        const palette& paint);

std::string overview(int columns, const palette& paint);                               // `tenure`, `tenure --help`
std::string help_of(const command_entry& command, int columns, const palette& paint);  // `tenure help run`

}  // namespace tenure::cli
