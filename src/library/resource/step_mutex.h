// A mutex in whose hands a thread of a systematic test may be stopped: there it is a word, and who waits for it gives
// the turn away. Elsewhere it is std::mutex.
#pragma once

#include <mutex>

#ifdef TENURE_SYSTEMATIC
#include <atomic>

#include "core/base/yield_point.h"
#endif

namespace tenure::resources {

#ifdef TENURE_SYSTEMATIC
class step_mutex {
 public:
  bool try_lock() noexcept { return !is_taken_.exchange(true, std::memory_order_acquire); }
  void lock() noexcept {
    TENURE_YIELD_POINT();
    while (!try_lock()) TENURE_YIELD_POINT();
    TENURE_YIELD_POINT();
  }
  void unlock() noexcept {
    is_taken_.store(false, std::memory_order_release);
    TENURE_YIELD_POINT();
  }

 private:
  std::atomic<bool> is_taken_{false};
};
#else
using step_mutex = std::mutex;
#endif

}  // namespace tenure::resources
