// One program, three kinds of memory: managed, unique_ptr with raw links, shared_ptr.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string_view>

#include <tenure/gc.hpp>

namespace tenure::bench {

enum class memory { managed, unique, shared };

inline double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Each returns a checksum, which is the same for every kind of memory.
std::uint64_t binary_trees(memory kind, int depth);
std::uint64_t gcbench(memory kind, int depth);
std::uint64_t lru(memory kind, int entries);
void primitives();

}  // namespace tenure::bench
