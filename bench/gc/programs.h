// One program, several kinds of memory: managed, unique_ptr with raw links, shared_ptr, and raw pointers into the heap
// of the Boehm collector where it is installed.
#pragma once

#ifdef TENURE_BENCH_BOEHM
#include <gc.h>
#endif

#include <cstdint>
#include <ctime>
#include <memory>
#include <new>
#include <string_view>

#include <tenure/gc.hpp>

namespace tenure::bench {

enum class memory { managed, unique, shared, boehm };

#ifdef TENURE_BENCH_BOEHM
template <class T>
T* boehm_new() {
  return new (GC_MALLOC(sizeof(T))) T();
}
#endif

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
// Of the managed heap alone: calls off the fast path beside a live heap; one marker over objects in random order.
void pauses(std::size_t live_mib, unsigned threads, std::uint64_t operations, bool with_hogs);
void marking(std::size_t live_mib);
// Of the machine alone: as many lines of memory in random order.
void lines(std::size_t mib);
// Each plan on the same work.
void plans();

}  // namespace tenure::bench
