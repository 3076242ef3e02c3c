#include "core/os/clock.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <ctime>

namespace tenure::os {
namespace {

std::uint64_t now(clockid_t clock) noexcept {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t monotonic_ns() noexcept { return now(CLOCK_MONOTONIC); }
std::uint64_t coarse_monotonic_ns() noexcept { return now(CLOCK_MONOTONIC_COARSE); }
std::uint64_t realtime_ns() noexcept { return now(CLOCK_REALTIME); }
std::uint64_t thread_cpu_ns() noexcept { return now(CLOCK_THREAD_CPUTIME_ID); }
std::uint32_t thread_id() noexcept { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

}  // namespace tenure::os
