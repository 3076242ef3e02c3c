// Connection pools with threads of their own, and any order of events against a model.
#include <gtest/gtest.h>
#include <tenure/connection_pool.hpp>

#include <atomic>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "unit/pool/connection_pool_fixture.h"

namespace tenure {
namespace {

using namespace std::chrono_literals;
using pool_type = connection_pool<testing::fake_connection>;
using ConnectionPoolThreads = testing::connection_pool_fixture;

TEST_F(ConnectionPoolThreads, ReturnsAtItsTimeoutThoughConnectHangs) {
  std::atomic<bool> hangs = true;
  auto hooks = server_.hooks();
  hooks.connect = [&](std::chrono::nanoseconds) {
    wait_for([&] { return !hangs; });
    return server_.connect();
  };
  pool_type pool(std::move(hooks), {.maximum_pool_size = 3, .minimum_idle = 0});
  EXPECT_FALSE(pool.try_acquire(50ms));
  EXPECT_EQ(pool.statistics().connecting, 1u);
  hangs = false;
  EXPECT_EQ(pool.acquire()->number, 1u) << "the one that it waited for";
}

TEST_F(ConnectionPoolThreads, ItsThreadsDoWhatTheClockAsksFor) {
  auto of = options(4);
  of.threads = 2;
  of.minimum_idle = 2;
  of.keepalive_time = 30s;
  of.leak_detection_threshold = 2s;
  pool_type pool(server_.hooks(), of);
  wait_for([&] { return pool.statistics().idle == 2; });
  auto kept = pool.acquire();
  wait_for([&] { return pool.statistics().idle == 2; });
  ::testing::internal::CaptureStderr();
  advance(2s);
  wait_for([&] { return pool.statistics().leaked == 1; });
  advance(29s);
  wait_for([&] { return server_.validated >= 2u; });
  wait_for([&] { return pool.statistics().idle == 2; });
  kept.reset();
  advance(10min);
  wait_for([&] { return pool.statistics().unneeded != 0; });
  advance(30min);
  wait_for([&] { return pool.statistics().expired >= 2; });
  wait_for([&] { return pool.statistics().idle == 2 && pool.statistics().open == 2; });
  pool.check();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("has been out for"), std::string::npos);
}

TEST_F(ConnectionPoolThreads, OpensAsManyAtOnceAsItHasThreads) {
  std::atomic<int> at_once = 0;
  auto hooks = server_.hooks();
  hooks.connect = [&](std::chrono::nanoseconds) {
    ++at_once;
    wait_for([&] { return at_once >= 3; });
    return server_.connect();
  };
  pool_type pool(std::move(hooks), {.maximum_pool_size = 3, .threads = 3});
  wait_for([&] { return pool.statistics().idle == 3; });
}

// Whatever happens in whatever order, a reference model that keeps no more than sets of numbers agrees.
TEST_F(ConnectionPoolThreads, AgreesWithAModel) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    std::mt19937_64 dice(seed);
    auto of = options(1 + dice() % 6);
    of.minimum_idle = dice() % 3;
    of.keepalive_time = dice() % 2 == 0 ? 0s : 45s;
    of.clock = [this] { return std::chrono::nanoseconds(now_ += 10'000'000); };  // waits end by themselves
    pool_type pool(server_.hooks(), of);
    std::vector<pool_type::handle> out;
    for (int step = 0; step < 400; ++step) {
      switch (dice() % 10) {
        case 0:
          pool.maintain();
          break;
        case 1:
          advance(std::chrono::seconds(dice() % 200));
          break;
        case 2:
          server_.is_down = dice() % 3 == 0;
          break;
        case 3:
          dice() % 4 == 0 ? server_.restart() : static_cast<void>(0);
          break;
        case 4:
          dice() % 8 == 0 ? pool.soft_evict() : static_cast<void>(0);
          break;
        case 5:
        case 6:
          if (out.empty()) break;
          std::swap(out[dice() % out.size()], out.back());
          if (server_.works(*out.back())) {
            out.back().reset();
          } else {
            out.back().discard();
          }
          out.pop_back();
          break;
        default: {
          const auto before = pool.statistics();
          if (auto one = pool.try_acquire(30ms); one) {
            for (const auto& other : out) ASSERT_NE(other->number, one->number) << "seed " << seed;
            out.push_back(std::move(one));
          } else if (const auto after = pool.statistics();
                     after.open < of.maximum_pool_size && after.closed == before.closed) {
            // Only where the server is down, and for a while after.
            ASSERT_GT(after.connect_failures, 0u) << "seed " << seed;
          }
        }
      }
      pool.check();
      ASSERT_EQ(pool.statistics().borrowed, out.size()) << "seed " << seed;
      ASSERT_LE(server_.open_now, static_cast<std::int64_t>(of.maximum_pool_size)) << "seed " << seed;
      ASSERT_EQ(server_.open_now, static_cast<std::int64_t>(pool.statistics().open)) << "seed " << seed;
    }
    out.clear();
  }
}

}  // namespace
}  // namespace tenure
