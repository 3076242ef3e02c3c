// Own memory: what Tenure has mapped for itself, which holds addresses of the program's blocks and is no part of the
// program. Whoever looks for what the program leads to leaves it out.
//
// A table of ranges without a lock. One that does not fit is not in it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::os {

struct memory_range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

inline constexpr std::size_t own_range_limit = 4096;

// The range belongs to Tenure from now on. Thread-safe, as all here.
void own_memory(const void* begin, std::size_t bytes) noexcept;
// It does not any more, given as it was; of others nothing happens. Before it is unmapped.
void disown_memory(const void* begin) noexcept;

// Places of the table that were ever used, and what is at one: nothing where its end is 0.
std::size_t own_range_count() noexcept;
memory_range own_range_at(std::size_t place) noexcept;
bool is_own_memory(std::uintptr_t address) noexcept;

}  // namespace tenure::os
