// What the files of this room share about the process: where its counters and its control page are, and what the
// instruments cost.
#pragma once

#include <cstdint>

#include "core/telemetry/region.h"
#include "core/telemetry/telemetry.h"

namespace tenure::telemetry {

wire::control_page& control() noexcept;
// The process's own page, which holds again when nobody watches any more.
wire::control_page& own_control() noexcept;

// From the folder of a command that attaches (attachment.h): its region opens, with copies of the counters, and from
// then on the command is told and listened to. False, with nothing changed, when it cannot be made.
bool enter_region(const char* folder, wire::origin origin, const wire::session_wishes& wishes) noexcept;
// Fresh copies in the region.
void copy_counters() noexcept;
// The region is left, its last copies made; `word` is what the slow paths look at from now on.
void leave_region(const std::uint32_t* word) noexcept;

// Time spent on samples and memory held for them; kept in the region's header, or in the process alone.
void add_overhead_ns(std::uint64_t nanoseconds) noexcept;
void add_overhead_bytes(std::int64_t bytes) noexcept;
std::uint64_t overhead_ns() noexcept;
std::uint64_t overhead_bytes() noexcept;

// Whether anybody can read what is written to the ring.
bool has_region() noexcept;

}  // namespace tenure::telemetry
