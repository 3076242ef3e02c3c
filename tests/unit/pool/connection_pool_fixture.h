// A pool on the fake server and on a clock that the test drives, without threads unless a test wants them.
#pragma once

#include <gtest/gtest.h>
#include <tenure/connection_pool.hpp>

#include <atomic>
#include <chrono>
#include <thread>

#include "unit/pool/fake_server.h"

namespace tenure::testing {

class connection_pool_fixture : public ::testing::Test {
 protected:
  connection_pool_options options(std::size_t most) {
    connection_pool_options of;
    of.name = "orders";
    of.maximum_pool_size = most;
    of.minimum_idle = 0;
    of.threads = 0;
    of.clock = [this] { return std::chrono::nanoseconds(now_.load()); };
    return of;
  }
  void advance(std::chrono::nanoseconds by) { now_ += by.count(); }

  // Until others have come so far.
  template <class Condition>
  static void wait_for(Condition condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void TearDown() override {
    EXPECT_EQ(server_.clashes, 0u);
    EXPECT_EQ(server_.opened, server_.closed);
  }

  fake_server server_;
  std::atomic<std::int64_t> now_ = 1'000'000'000'000;
};

}  // namespace tenure::testing
