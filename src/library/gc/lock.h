// A lock and two ways to wait, which the systematic tests can take part in: there a thread that waits yields its turn.
#pragma once

#include <atomic>
#include <cstdint>

namespace tenure::gc {

// A pause of a waiting thread, longer with each round.
void back_off(unsigned round) noexcept;

class lock {
 public:
  void acquire() noexcept {
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) wait();
  }
  bool try_acquire() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void release() noexcept;
  // In the child of a fork, whatever a thread that is no more was doing.
  void reset() noexcept { word_.store(0, std::memory_order_relaxed); }

 private:
  void wait() noexcept;

  std::atomic<std::uint32_t> word_{0};  // 0 free, 1 taken, 2 taken and waited for
};

class holding {
 public:
  explicit holding(lock& held) noexcept : held_(held) { held_.acquire(); }
  ~holding() { held_.release(); }
  holding(const holding&) = delete;
  holding& operator=(const holding&) = delete;

 private:
  lock& held_;
};

}  // namespace tenure::gc
