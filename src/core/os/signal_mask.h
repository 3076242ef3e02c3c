// The calling thread's signal mask, the signals included that the C library keeps for itself: it leaves those out of
// every mask that it is given.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <cstdint>

namespace tenure::os {

inline constexpr std::uint64_t all_signals = ~std::uint64_t{0};

// The mask that was in force. It never fails.
inline std::uint64_t set_signal_mask(std::uint64_t mask) noexcept {
  std::uint64_t old = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &old, sizeof mask);
  return old;
}

}  // namespace tenure::os
