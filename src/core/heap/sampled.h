// Sampled blocks of the default heap live in spans of their own, in which every block is a live sample or one that a
// tally counts (telemetry/tally.h). The page map shows class 0 there: the free of such a block is met on the slow path,
// and no other free looks for them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/named_heap.h"
#include "wire/event.h"

namespace tenure::core {

// A small block that is a sample. Null when the system refuses; the caller then hands out a plain one.
void* allocate_sampled(std::size_t size_class, std::size_t requested_bytes, std::uint64_t interval_bytes,
                       wire::allocation_entry entry) noexcept;
void free_sampled(span* home, void* block) noexcept;

// The heap that holds them: not in the list of named heaps.
named_heap& sampled_heap() noexcept;

}  // namespace tenure::core
