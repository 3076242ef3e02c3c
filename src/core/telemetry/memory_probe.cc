#include "core/telemetry/memory_probe.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace tenure::telemetry {

// The kernel copies the set of signals in before it looks at what to do with it: EFAULT is the answer for memory that
// cannot be read, EINVAL (there is no such way to change a mask) for memory that can.
bool is_readable(std::uint64_t address) noexcept {
  constexpr int no_such_way = -1;
  constexpr long kernel_set_bytes = 8;
  if (address == 0) return false;  // to the kernel that is no set at all, and no error
  const int saved_errno = errno;
  const long result = ::syscall(SYS_rt_sigprocmask, no_such_way, address, nullptr, kernel_set_bytes);
  const bool readable = result == 0 || errno != EFAULT;
  errno = saved_errno;
  return readable;
}

}  // namespace tenure::telemetry
