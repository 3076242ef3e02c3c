// What a report says of the programs that Tenure was not loaded into, and why it was not.
#pragma once

#include <string>

#include "instruments/cli/terminal.h"
#include "instruments/collect/recording.h"

namespace tenure::cli {

// Looks at the program's file as it is now. `code` is for machines (docs/reference/report-json.md).
struct unwatched_reason {
  const char* code;
  const char* text;
};
unwatched_reason why_unwatched(const std::string& executable);

// Empty when there are none.
std::string unwatched_text(const collect::recording& run, const palette& paint, int columns);

}  // namespace tenure::cli
