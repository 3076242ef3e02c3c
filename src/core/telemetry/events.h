// The records of wire/event.h, written into the ring of the process.
#pragma once

#include <cstdint>

#include "core/telemetry/telemetry.h"
#include "wire/event.h"

namespace tenure::telemetry {

// Each returns false when the event was dropped (and counted), or there is no ring.
// `kind`: allocation_sample or inherited_sample.
bool write_allocation(const live_sample& sample, wire::event_kind kind, std::uint32_t truncated,
                      wire::allocation_entry entry) noexcept;
bool write_free(std::uint64_t sample_id, std::uint64_t time_ns, std::uint64_t address, std::uint32_t thread_id,
                const std::uint64_t* frames, std::uint32_t frame_count) noexcept;
bool write_module(const wire::module_event& module, const char* path) noexcept;

// Tells the name of the calling thread, unless it is what was told last.
void announce_thread(std::uint32_t thread_id, std::uint64_t time_ns) noexcept;
// In the child of fork, whose reader has been told nothing.
void forget_announced_threads() noexcept;

}  // namespace tenure::telemetry
