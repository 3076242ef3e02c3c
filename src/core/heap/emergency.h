// Emergency blocks: for a signal handler that allocates while its thread is in a slow path of the heap, where it can
// take no lock. Each is a mapping of its own, found in a small table, and not reused: free() recognises and counts
// them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

void* emergency_allocate(std::size_t bytes, std::size_t alignment) noexcept;
bool is_emergency_block(const void* block) noexcept;
std::size_t emergency_block_bytes(const void* block) noexcept;
std::uint64_t emergency_allocations() noexcept;

}  // namespace tenure::core
