#include "core/os/bare_thread.h"

#include <pthread.h>
#include <sched.h>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/sanitizers.h"
#include "core/os/machine.h"
#include "core/os/own_memory.h"
#include "core/os/signal_mask.h"
#include "core/os/virtual_memory.h"

namespace tenure::os {
namespace {

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)

// The sanitizers keep books on each thread: it must be one that they know.
void* run_known(void* run) noexcept {
  reinterpret_cast<void (*)()>(run)();
  return nullptr;
}

bool start(void (*run)(), std::size_t stack_bytes, const void*) noexcept {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return false;
  ::pthread_attr_setstacksize(&attributes, stack_bytes + 256 * 1024);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool started = ::pthread_create(&thread, &attributes, run_known, reinterpret_cast<void*>(run)) == 0;
  ::pthread_attr_destroy(&attributes);
  return started;
}

#else

constexpr std::size_t control_block_bytes = 16 * 1024;  // glibc's struct pthread takes less than 3 KiB
constexpr std::size_t margin_bytes = 4096;

// At the bottom of the thread's memory, where its stack would end.
struct bare_memory {
  void (*run)();
  std::size_t bytes;
};

int run_bare(void* memory) noexcept {
  const bare_memory own = *static_cast<const bare_memory*>(memory);
  own.run();
  // A handler would find no stack any more: a thread may be asked to stand still until it has ended.
  set_signal_mask(all_signals);
  disown_memory(memory);
  unmap_and_end(memory, own.bytes);
}

std::size_t distance(const void* from, const void* to) noexcept {
  const auto a = reinterpret_cast<std::uintptr_t>(from);
  const auto b = reinterpret_cast<std::uintptr_t>(to);
  return a < b ? b - a : a - b;
}

//   | stack, downwards | locals below the thread pointer | control block, locals above it |
bool start(void (*run)(), std::size_t stack_bytes, const void* used_local) noexcept {
  auto* own = static_cast<char*>(__builtin_thread_pointer());
  std::size_t locals_bytes = distance(own, used_local);
  if (distance(own, &errno) > locals_bytes) locals_bytes = distance(own, &errno);
  locals_bytes = core::align_up(locals_bytes + margin_bytes, 4096);
  const std::size_t total = core::align_up(stack_bytes + 2 * locals_bytes + control_block_bytes, page_bytes());
  auto* memory = static_cast<char*>(map_anywhere(total));
  if (memory == nullptr) return false;
  *reinterpret_cast<bare_memory*>(memory) = {run, total};
  char* pointer = memory + stack_bytes + locals_bytes;
  TENURE_CHECK(core::is_aligned(reinterpret_cast<std::uintptr_t>(pointer), 64));
  begin_control_block(pointer, own);
  constexpr int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS;
  const int thread = ::clone(run_bare, memory + stack_bytes, flags, memory, nullptr, pointer);
  if (thread == -1) unmap(memory, total);
  return thread != -1;
}

#endif

}  // namespace

bool start_bare_thread(void (*run)(), std::size_t stack_bytes, const void* used_local) noexcept {
  const int saved_errno = errno;
  sigset_t all;
  sigset_t saved;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &saved);
  const bool started = start(run, stack_bytes, used_local);
  ::pthread_sigmask(SIG_SETMASK, &saved, nullptr);
  errno = saved_errno;
  return started;
}

}  // namespace tenure::os
