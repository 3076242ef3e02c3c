#include "core/os/barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace tenure::os {

std::uint32_t process_barrier_state = 0;

namespace {

bool barrier_by_kernel() noexcept {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return true;
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
         ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace

void process_barrier() noexcept {
  const int saved_errno = errno;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (!barrier_by_kernel()) __atomic_store_n(&process_barrier_state, 0u, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  errno = saved_errno;
}

void prepare_process_barrier() noexcept {
  const int saved_errno = errno;
  __atomic_store_n(&process_barrier_state, barrier_by_kernel() ? 1u : 0u, __ATOMIC_RELAXED);
  errno = saved_errno;
}

}  // namespace tenure::os
