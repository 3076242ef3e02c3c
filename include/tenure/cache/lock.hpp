// The lock of a cache: one word. Unlike std::mutex it may be tried by the thread that holds it, which fails: memory
// that is taken under the lock can ask shrinkers, and the cache is one.
#pragma once

#include <atomic>
#include <cstdint>

#include <tenure/cache/step.hpp>

namespace tenure::detail {

class cache_lock {
 public:
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return state_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void lock() noexcept {
#ifdef TENURE_SYSTEMATIC
    while (!try_lock()) TENURE_CACHE_STEP();
#else
    // It is held for less than it takes to sleep.
    for (int look = 0; look < looks; ++look) {
      if (state_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    // 2: somebody waits.
    while (state_.exchange(2, std::memory_order_acquire) != 0) state_.wait(2, std::memory_order_relaxed);
#endif
  }
  void unlock() noexcept {
    if (state_.exchange(0, std::memory_order_release) == 2) state_.notify_one();
  }

 private:
  static constexpr int looks = 200;
  std::atomic<std::uint32_t> state_{0};
};

}  // namespace tenure::detail
