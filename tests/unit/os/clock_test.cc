#include "core/os/clock.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>
#include <ctime>
#include <thread>

namespace tenure::os {
namespace {

std::uint64_t libc_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000u + static_cast<std::uint64_t>(time.tv_nsec);
}

TEST(Clock, ReadsTheKernelsClocks) {
  std::uint64_t before = libc_ns(CLOCK_MONOTONIC);
  const std::uint64_t monotonic = monotonic_ns();
  EXPECT_GE(monotonic, before);
  EXPECT_LE(monotonic, libc_ns(CLOCK_MONOTONIC));
  before = libc_ns(CLOCK_REALTIME);
  const std::uint64_t realtime = realtime_ns();
  EXPECT_GE(realtime, before);
  EXPECT_LE(realtime, libc_ns(CLOCK_REALTIME));
}

TEST(Clock, CoarseTimeNeverRunsAheadNorBack) {
  std::uint64_t last = coarse_monotonic_ns();
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t coarse = coarse_monotonic_ns();
    EXPECT_GE(coarse, last);
    EXPECT_LE(coarse, monotonic_ns());
    last = coarse;
  }
}

TEST(Clock, ThreadsHaveNumbersOfTheirOwn) {
  const std::uint32_t mine = thread_id();
  EXPECT_EQ(mine, static_cast<std::uint32_t>(::gettid()));
  EXPECT_EQ(mine, thread_id());
  std::uint32_t other = 0;
  std::thread([&] { other = thread_id(); }).join();
  EXPECT_NE(other, mine);
  EXPECT_NE(other, 0u);
}

}  // namespace
}  // namespace tenure::os
