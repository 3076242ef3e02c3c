#include "core/os/barrier.h"

#include <gtest/gtest.h>
#include <atomic>
#include <cerrno>
#include <thread>

namespace tenure::os {
namespace {

// Store buffering: x = 1; read y || y = 1; read x. Both sides may read 0 unless each has a full barrier between its
// two steps. One side has none here; process_barrier() on the other must be enough for both.
TEST(Barrier, OrdersTheOtherThreadsStoresToo) {
  constexpr int rounds = 2000;
  std::atomic<int> x = 0;
  std::atomic<int> y = 0;
  std::atomic<int> go = 0;
  std::atomic<int> done = 0;
  int fast_read = 0;
  std::thread fast([&] {
    for (int round = 1; round <= rounds; ++round) {
      while (go.load(std::memory_order_acquire) != round) std::this_thread::yield();
      x.store(1, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      fast_read = y.load(std::memory_order_relaxed);
      done.store(round, std::memory_order_release);
    }
  });
  int both_missed = 0;
  for (int round = 1; round <= rounds; ++round) {
    x = 0;
    y = 0;
    go.store(round, std::memory_order_release);
    y.store(1, std::memory_order_relaxed);
    process_barrier();
    const int slow_read = x.load(std::memory_order_relaxed);
    while (done.load(std::memory_order_acquire) != round) std::this_thread::yield();
    both_missed += fast_read == 0 && slow_read == 0 ? 1 : 0;
  }
  fast.join();
  EXPECT_EQ(both_missed, 0);
}

TEST(Barrier, LeavesErrnoAlone) {
  errno = ERANGE;
  process_barrier();
  EXPECT_EQ(errno, ERANGE);
}

}  // namespace
}  // namespace tenure::os
