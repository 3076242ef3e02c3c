#include "core/os/file_length.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <ctime>

namespace tenure::os {

bool set_file_length(int descriptor, std::uint64_t bytes) noexcept {
  // The kernel's own set of signals: one word, in which signal n is bit n - 1.
  const std::uint64_t file_size_signal = std::uint64_t{1} << (SIGXFSZ - 1);
  std::uint64_t mask_before = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_BLOCK, &file_size_signal, &mask_before, sizeof mask_before);
  const bool done = ::syscall(SYS_ftruncate, descriptor, bytes) == 0;
  const int reason = errno;
  if (!done && reason == EFBIG) {
    // The signal is this thread's own and waits for it.
    const timespec at_once{};
    ::syscall(SYS_rt_sigtimedwait, &file_size_signal, nullptr, &at_once, sizeof file_size_signal);
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask_before, nullptr, sizeof mask_before);
  errno = reason;
  return done;
}

}  // namespace tenure::os
