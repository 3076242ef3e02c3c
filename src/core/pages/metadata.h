// Memory for the heap's own records: mapped apart from the window, handed out by bumping, never given back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

// Zeroed memory of `bytes`, aligned to 64. Null when the system refuses. Thread-safe, takes a lock of its own.
void* allocate_metadata(std::size_t bytes) noexcept;

std::uint64_t metadata_bytes() noexcept;

// Around fork.
void lock_metadata() noexcept;
void unlock_metadata() noexcept;

}  // namespace tenure::core
