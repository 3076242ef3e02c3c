// What the files of this room share about the process: where its counters and its control page are, and what the
// instruments cost.
#pragma once

#include <cstdint>

#include "core/telemetry/region.h"
#include "core/telemetry/telemetry.h"

namespace tenure::telemetry {

wire::control_page& control() noexcept;

// Time spent on samples and memory held for them; kept in the region's header, or in the process alone.
void add_overhead_ns(std::uint64_t nanoseconds) noexcept;
void add_overhead_bytes(std::int64_t bytes) noexcept;
std::uint64_t overhead_ns() noexcept;
std::uint64_t overhead_bytes() noexcept;

// Whether anybody can read what is written to the ring.
bool has_region() noexcept;

}  // namespace tenure::telemetry
