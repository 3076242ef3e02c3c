#include "core/os/processors.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>

namespace tenure::os {

namespace {

std::uint32_t known = 0;

[[gnu::noinline]] std::uint32_t ask() noexcept {
  const int saved_errno = errno;
  // The kernel's own set, which may be longer than what the C library's type holds.
  constexpr std::size_t words = 128;
  std::uint64_t set[words] = {};
  const long bytes = ::syscall(SYS_sched_getaffinity, 0, sizeof set, set);
  errno = saved_errno;
  std::uint32_t count = 0;
  for (std::size_t word = 0; word * sizeof set[0] < static_cast<std::size_t>(bytes < 0 ? 0 : bytes); ++word) {
    count += static_cast<std::uint32_t>(__builtin_popcountll(set[word]));
  }
  return count == 0 ? 1 : count;
}

}  // namespace

std::uint32_t processor_count() noexcept {
  std::uint32_t count = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (count == 0) __atomic_store_n(&known, count = ask(), __ATOMIC_RELAXED);
  return count;
}

}  // namespace tenure::os
