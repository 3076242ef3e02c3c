// What a test needs to look at a block without the compiler looking too: opaque values, patterns, the process's RSS.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace tenure::testing {

// The same value, of which the optimiser knows nothing: it can neither drop an allocation nor warn about its size.
template <class type>
type opaque(type value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

inline bool is_aligned(const void* block, std::size_t alignment) {
  return (reinterpret_cast<std::uintptr_t>(block) & (alignment - 1)) == 0;
}

// A byte that depends on the place and on the block, so that a block written over by its neighbour is noticed.
inline unsigned char pattern_byte(std::uint64_t seed, std::size_t index) {
  const std::uint64_t mixed = (seed + index / 8 + 1) * 0x9e3779b97f4a7c15u;
  return static_cast<unsigned char>(mixed >> (8 * (index % 8)));
}

inline void fill_pattern(void* block, std::size_t bytes, std::uint64_t seed) {
  auto* place = static_cast<unsigned char*>(block);
  for (std::size_t index = 0; index < bytes; ++index) place[index] = pattern_byte(seed, index);
}

inline bool has_pattern(const void* block, std::size_t bytes, std::uint64_t seed) {
  const auto* place = static_cast<const unsigned char*>(block);
  for (std::size_t index = 0; index < bytes; ++index) {
    if (place[index] != pattern_byte(seed, index)) return false;
  }
  return true;
}

inline bool is_zero(const void* block, std::size_t bytes) {
  const auto* place = static_cast<const unsigned char*>(block);
  if (bytes == 0) return true;
  return place[0] == 0 && std::memcmp(place, place + 1, bytes - 1) == 0;
}

// Sizes at, just below and just above every boundary a size-classed heap may have: multiples of 16, powers of two and
// their eighths, up to `limit`.
inline std::vector<std::size_t> interesting_sizes(std::size_t limit) {
  std::vector<std::size_t> sizes;
  const auto around = [&](std::size_t size) {
    for (std::size_t candidate : {size - 1, size, size + 1}) {
      if (candidate <= limit && (sizes.empty() || candidate > sizes.back())) sizes.push_back(candidate);
    }
  };
  sizes.push_back(0);
  for (std::size_t size = 8; size <= 1024; size += 8) around(size);
  for (std::size_t power = 1024; power < limit; power *= 2) {
    for (std::size_t eighth = 1; eighth <= 8; ++eighth) around(power + power / 8 * eighth);
  }
  return sizes;
}

// Resident bytes of this process, read without the C library's allocation.
inline std::size_t resident_bytes() {
  char text[128] = {};
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  unsigned long long total = 0, resident = 0;
  if (got <= 0 || std::sscanf(text, "%llu %llu", &total, &resident) != 2) return 0;
  return static_cast<std::size_t>(resident) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace tenure::testing
