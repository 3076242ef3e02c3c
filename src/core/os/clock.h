// Time and thread identity, as numbers.
#pragma once

#include <cstdint>

namespace tenure::os {

std::uint64_t monotonic_ns() noexcept;         // CLOCK_MONOTONIC
std::uint64_t coarse_monotonic_ns() noexcept;  // the same to the kernel's tick, at a quarter of the cost
std::uint64_t realtime_ns() noexcept;
std::uint64_t thread_cpu_ns() noexcept;  // processor time of the calling thread, one system call
std::uint32_t thread_id() noexcept;      // kernel tid, one system call

}  // namespace tenure::os
