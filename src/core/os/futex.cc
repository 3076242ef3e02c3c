#include "core/os/futex.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <ctime>

namespace tenure::os {

void futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept {
  const int saved_errno = errno;
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(timeout_ns / 1000000000u);
  timeout.tv_nsec = static_cast<long>(timeout_ns % 1000000000u);
  ::syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns == 0 ? nullptr : &timeout, nullptr, 0);
  errno = saved_errno;
}

void futex_wake(std::uint32_t* word, int threads) noexcept {
  const int saved_errno = errno;
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
  errno = saved_errno;
}

void wait_a_moment(unsigned turn) noexcept {
  constexpr unsigned most_yields = 16;
  constexpr std::uint64_t moment_ns = 100'000;
  if (turn < most_yields) {
    ::sched_yield();
    return;
  }
  std::uint32_t nobody = 0;
  futex_wait(&nobody, 0, moment_ns);
}

}  // namespace tenure::os
