// A lock of four bytes: spins a little, then sleeps in the kernel. Zero-initialised is unlocked. Not recursive.
#pragma once

#include <cstdint>

#include "core/base/yield_point.h"
#include "core/os/futex.h"

namespace tenure::os {

class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  bool try_lock() noexcept {
    std::uint32_t expected = 0;
    return __atomic_compare_exchange_n(&state_, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
  }
  void lock() noexcept {
#ifdef TENURE_SYSTEMATIC
    do {  // who slept in the kernel would keep the turn
      TENURE_YIELD_POINT();
    } while (!try_lock());
#else
    if (__builtin_expect(!try_lock(), 0)) lock_slow();
#endif
  }
  void unlock() noexcept {
    if (__builtin_expect(__atomic_exchange_n(&state_, 0, __ATOMIC_RELEASE) == 2, 0)) futex_wake(&state_, 1);
  }
  bool is_locked() const noexcept { return __atomic_load_n(&state_, __ATOMIC_RELAXED) != 0; }
  // In the child of fork, where the holder is gone.
  void reset_after_fork() noexcept { __atomic_store_n(&state_, 0, __ATOMIC_RELEASE); }

 private:
  void lock_slow() noexcept;
  std::uint32_t state_ = 0;  // 0 free, 1 held, 2 held and somebody sleeps
};

class lock_guard {
 public:
  explicit lock_guard(mutex& held) noexcept : held_(held) { held_.lock(); }
  ~lock_guard() { held_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  mutex& held_;
};

}  // namespace tenure::os
