// The owner's lock of a thread cache: free for the owner, dear for everybody else.
//
// The owner enters its slow path some million times a second; somebody else looks into the cache a few times in the
// life of a process (a walk, a fork). So the owner only stores a flag and reads another one. Who wants to look sets
// `wanted`, has the kernel execute a barrier on every running thread, and then waits until the owner is not inside.
// Either the owner's store of `inside` came before the barrier, and is seen; or its load of `wanted` comes after it,
// and sees that.
//
//   owner     inside = true; if (wanted) { inside = false; wait for the registry's lock; again }
//   stranger  holds the registry's lock; wanted = true (all); process_barrier(); until !inside (each)
//
// Under ThreadSanitizer, which cannot see that barrier, it is an ordinary mutex.
#pragma once

#include <sched.h>
#include <cstdint>

#include "core/base/bits.h"
#include "core/base/sanitizers.h"
#include "core/base/yield_point.h"
#include "core/os/barrier.h"
#include "core/os/mutex.h"

namespace tenure::core {

class owner_lock {
 public:
  // The owner. `registry` is the lock a stranger holds for as long as it looks.
  void enter([[maybe_unused]] os::mutex& registry) noexcept {
#if defined(TENURE_THREAD_SANITIZER)
    mutex_.lock();
#else
    for (;;) {
      __atomic_store_n(&inside_, true, __ATOMIC_RELAXED);
      __atomic_signal_fence(__ATOMIC_SEQ_CST);
      if (unlikely(os::process_barrier_missing())) __atomic_thread_fence(__ATOMIC_SEQ_CST);
      TENURE_YIELD_POINT();
      if (likely(!__atomic_load_n(&wanted_, __ATOMIC_RELAXED))) return;
      __atomic_store_n(&inside_, false, __ATOMIC_RELEASE);
      os::lock_guard until_done(registry);
    }
#endif
  }
  void leave() noexcept {
#if defined(TENURE_THREAD_SANITIZER)
    mutex_.unlock();
#else
    __atomic_store_n(&inside_, false, __ATOMIC_RELEASE);
#endif
  }

  // A stranger, in three steps: want() all, one os::process_barrier(), wait() for each.
  void want() noexcept { __atomic_store_n(&wanted_, true, __ATOMIC_RELAXED); }
  void wait() noexcept {
#if defined(TENURE_THREAD_SANITIZER)
    mutex_.lock();
#else
    while (__atomic_load_n(&inside_, __ATOMIC_ACQUIRE)) {
      ::sched_yield();
      TENURE_YIELD_POINT();
    }
#endif
  }
  void release() noexcept {
    __atomic_store_n(&wanted_, false, __ATOMIC_RELEASE);
#if defined(TENURE_THREAD_SANITIZER)
    mutex_.unlock();
#endif
  }

 private:
  bool inside_ = false;
  bool wanted_ = false;
#if defined(TENURE_THREAD_SANITIZER)
  os::mutex mutex_;
#endif
};

}  // namespace tenure::core
