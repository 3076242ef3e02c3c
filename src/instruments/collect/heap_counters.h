// What the heap's own counters say of the program's blocks.
#pragma once

#include <cstdint>

#include "wire/heap_statistics.h"

namespace tenure::collect {

// Bytes that the heap has handed out, rounded up to size classes and what thread caches hold among them: no block that
// lives is missing. Counters that make no sense, from a file that anybody may write, count nothing as free.
std::uint64_t bytes_in_use(const wire::heap_statistics& counters);

}  // namespace tenure::collect
