#include "core/os/mutex.h"

#include <gtest/gtest.h>
#include <atomic>
#include <thread>
#include <vector>

namespace tenure::os {
namespace {

TEST(Mutex, OneThreadAtATime) {
  mutex lock;
  constexpr int threads = 4;
  constexpr int rounds = 20000;
  long counter = 0;  // plain: only the lock keeps it whole
  std::atomic<int> inside = 0;
  std::atomic<int> most_inside = 0;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        lock_guard held(lock);
        const int now = ++inside;
        if (now > most_inside) most_inside = now;
        ++counter;
        --inside;
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(counter, long{threads} * rounds);
  EXPECT_EQ(most_inside, 1);
  EXPECT_FALSE(lock.is_locked());
}

TEST(Mutex, TryLockTakesItOnlyWhenItIsFree) {
  mutex lock;
  EXPECT_TRUE(lock.try_lock());
  EXPECT_TRUE(lock.is_locked());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(Mutex, EveryoneWhoSleepsIsWoken) {
  mutex lock;
  lock.lock();
  std::atomic<int> through = 0;
  std::vector<std::thread> all;
  for (int t = 0; t < 8; ++t) {
    all.emplace_back([&] {
      lock_guard held(lock);
      ++through;
    });
  }
  // Long enough for most to be asleep in the kernel; right whether they are or not.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(through, 0);
  lock.unlock();
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(through, 8);
}

TEST(Mutex, ResetGivesTheChildOfForkAFreeLock) {
  mutex lock;
  lock.lock();
  lock.reset_after_fork();
  EXPECT_FALSE(lock.is_locked());
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(Mutex, IsFourBytes) { EXPECT_EQ(sizeof(mutex), 4u); }

TEST(Futex, WaitReturnsAtOnceWhenTheWordHasChanged) {
  std::uint32_t word = 1;
  futex_wait(&word, 0, 0);  // would sleep for good if it looked at the word wrongly
  futex_wait(&word, 1, 1000000);
  futex_wake(&word, 1);
}

}  // namespace
}  // namespace tenure::os
