#include "core/os/barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace tenure::os {

void process_barrier() noexcept {
  const int saved_errno = errno;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  }
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  errno = saved_errno;
}

}  // namespace tenure::os
