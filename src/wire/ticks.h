// The machine's cheapest clock, which all processors share: what a tape's records are ordered by.
//
// On x86-64 the time stamp counter, which counts at one rate on all cores of any machine of the last fifteen years; on
// aarch64 the virtual counter. Neither waits for the instructions before it: a reading may be some ten nanoseconds
// early, never late.
#pragma once

#include <cstdint>

namespace tenure::wire {

[[gnu::always_inline]] inline std::uint64_t read_ticks() noexcept {
#if defined(__x86_64__)
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return std::uint64_t{high} << 32 | low;
#elif defined(__aarch64__)
  std::uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
#error "Tenure knows the clocks of x86-64 and aarch64"
#endif
}

}  // namespace tenure::wire
