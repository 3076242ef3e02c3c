#include "library/gc/lock.h"

#include <sched.h>
#include <time.h>

#include "core/base/machine.h"
#include "core/base/yield_point.h"

namespace tenure::gc {

void back_off(unsigned round) noexcept {
  TENURE_YIELD_POINT();
#ifndef TENURE_SYSTEMATIC
  if (round < 16) {
    ::sched_yield();
    return;
  }
  const timespec pause{0, round < 64 ? 50'000 : 1'000'000};
  ::nanosleep(&pause, nullptr);
#else
  static_cast<void>(round);
#endif
}

void lock::wait() noexcept {
#ifdef TENURE_SYSTEMATIC
  while (!try_acquire()) TENURE_YIELD_POINT();
#else
  for (unsigned spin = 0; spin < 100; ++spin) {
    if (word_.load(std::memory_order_relaxed) == 0 && try_acquire()) return;
    core::relax_processor();
  }
  while (word_.exchange(2, std::memory_order_acquire) != 0) word_.wait(2, std::memory_order_relaxed);
#endif
}

void lock::release() noexcept {
  if (word_.exchange(0, std::memory_order_release) == 2) word_.notify_one();
}

}  // namespace tenure::gc
