// Where the memory of a recorded process lay at one moment: the parts that sum to its RSS, for people and for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "instruments/analyze/profile.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

// `start_ns`: of the process.
std::string memory_text(const analyze::memory_breakdown& memory, std::uint64_t start_ns, const palette& paint,
                        int columns);
// Null where nothing is known.
void write_memory(json_writer& json, const std::optional<analyze::memory_breakdown>& memory, std::uint64_t start_ns);

}  // namespace tenure::cli
