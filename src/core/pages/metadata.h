// Memory for the heap's own records: mapped apart from the window, handed out by bumping, never given back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/span.h"

namespace tenure::core {

// Zeroed memory of `bytes`, aligned to 64. Null when the system refuses. Thread-safe, takes a lock of its own.
void* allocate_metadata(std::size_t bytes) noexcept;

// Descriptors, recycled through a free list. Under the page heap's lock.
span* allocate_span_record() noexcept;
void free_span_record(span* released) noexcept;

std::uint64_t metadata_bytes() noexcept;

// Around fork.
void lock_metadata() noexcept;
void unlock_metadata() noexcept;

}  // namespace tenure::core
