// Why a process has not been looked through.
#pragma once

#include <cstdint>

#include "instruments/collect/recording.h"

namespace tenure::cli {

// Of a scan that has no answer: a clause.
const char* refusal_text(std::uint32_t refusal);
// Of a process that should have been scanned when it ended.
const char* unscanned_text(collect::process_end end);

}  // namespace tenure::cli
