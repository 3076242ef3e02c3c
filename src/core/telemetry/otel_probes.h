// Static probes (USDT) of sampled allocations, for observers outside: OpenTelemetry's eBPF profiler, bpftrace, perf,
// gdb.
//
//   otel_memory:alloc(ptr, size, weighted_bytes)   a sampled allocation; what it stands for, unbiased
//   otel_memory:free(ptr)                          the end of one
//
// The contract is OpenTelemetry's (opentelemetry-ebpf-profiler, design-docs/00003-memory-profiling). A probe is a nop
// and a note in the file that says where it is. An observer that attaches makes its semaphore greater than zero; until
// then nothing is worked out for it. Built where <sys/sdt.h> is to be had.
#pragma once

#include <cstdint>

#include "core/base/bits.h"

#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1
#define STAP_SDT_ARG_CONSTRAINT r  // observers in the kernel get at registers more easily than at memory
#include <sys/sdt.h>

// Written by the kernel, or a debugger. The names are those that <sys/sdt.h> derives from the probes'.
extern "C" {
[[gnu::section(".probes"), gnu::visibility("hidden")]] extern volatile unsigned short otel_memory_alloc_semaphore;
[[gnu::section(".probes"), gnu::visibility("hidden")]] extern volatile unsigned short otel_memory_free_semaphore;
}

namespace tenure::telemetry {

[[gnu::always_inline]] inline bool is_alloc_observed() noexcept {
  return core::unlikely(otel_memory_alloc_semaphore != 0);
}
[[gnu::always_inline]] inline bool is_free_observed() noexcept {
  return core::unlikely(otel_memory_free_semaphore != 0);
}

[[gnu::always_inline]] inline void fire_alloc(std::uint64_t address, std::uint64_t requested_bytes,
                                              std::uint64_t weight_bytes) noexcept {
  STAP_PROBE3(otel_memory, alloc, address, requested_bytes, weight_bytes);
}
[[gnu::always_inline]] inline void fire_free(std::uint64_t address) noexcept {
  STAP_PROBE1(otel_memory, free, address);
}

}  // namespace tenure::telemetry

#else

namespace tenure::telemetry {

inline bool is_alloc_observed() noexcept { return false; }
inline bool is_free_observed() noexcept { return false; }
inline void fire_alloc(std::uint64_t, std::uint64_t, std::uint64_t) noexcept {}
inline void fire_free(std::uint64_t) noexcept {}

}  // namespace tenure::telemetry

#endif
