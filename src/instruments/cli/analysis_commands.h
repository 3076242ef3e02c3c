// The commands that analyse recordings: their words and options checked, and handed on.
#pragma once

#include <optional>

#include "instruments/cli/parser.h"

namespace tenure::cli {

// What the command ends with; nullopt when it is none of these.
std::optional<int> analysis_command(const arguments& given);

}  // namespace tenure::cli
