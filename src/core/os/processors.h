// How many processors there are for this process.
#pragma once

#include <cstdint>

namespace tenure::os {

// Those that the calling thread might run on when this was first asked; at least 1. Thread-safe; leaves errno as it
// was.
std::uint32_t processor_count() noexcept;

}  // namespace tenure::os
