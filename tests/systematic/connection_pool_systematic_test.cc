// A connection pool step by step: threads stop before each look at the pool, while they wait and while they connect,
// validate and close; others give up meanwhile, evict everything, suspend and shut down.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <vector>

#include <tenure/connection_pool.hpp>

#include "rounds.h"
#include "systematic.h"
#include "unit/pool/fake_server.h"

using namespace std::chrono_literals;
using tenure::connection_pool;
using tenure::connection_pool_options;
using tenure::testing::fake_connection;
using tenure::testing::fake_server;
using tenure::testing::systematic;

namespace {

using pool_type = connection_pool<fake_connection>;

// Time that passes with each look at it.
struct passing_time {
  std::atomic<std::int64_t> now = 1'000'000'000'000;
  connection_pool_options options(std::size_t most) {
    connection_pool_options of;
    of.maximum_pool_size = most;
    of.minimum_idle = 0;
    of.validate_after = 0s;
    of.threads = 0;
    of.clock = [this] { return std::chrono::nanoseconds(now += 1'000'000); };
    return of;
  }
};

void use(fake_server& server, pool_type& pool, std::uint32_t id, std::chrono::nanoseconds timeout) {
  for (int round = 0; round < 3; ++round) {
    auto one = pool.try_acquire(timeout);
    if (!one) continue;
    server.claim(*one, id);
    systematic::yield();
    server.unclaim(*one, id);
    if (!server.works(*one)) one.discard();
  }
}

void end_well(const fake_server& server, std::int64_t most, std::uint64_t seed) {
  ASSERT_EQ(server.clashes, 0u) << "seed " << seed;
  ASSERT_LE(server.open_most, most) << "seed " << seed;
  ASSERT_EQ(server.opened, server.closed) << "seed " << seed;
}

TEST(connection_pool_systematic, nothing_is_lent_twice_or_lost) {
  std::uint64_t lent = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < tenure::test::rounds(1500u); ++seed) {
    fake_server server;
    passing_time time;
    {
      pool_type pool(server.hooks(), time.options(2));
      systematic threads(seed);
      for (std::uint32_t id = 1; id <= 3; ++id) threads.add([&, id] { use(server, pool, id, id * 10ms); });
      threads.add([&] {
        server.restart();
        systematic::yield();
        pool.soft_evict();
        systematic::yield();
        pool.maintain();
      });
      threads.run();
      pool.check();
      const auto figures = pool.statistics();
      ASSERT_EQ(figures.waiting, 0u) << "seed " << seed;
      ASSERT_EQ(figures.borrowed, 0u) << "seed " << seed;
      lent += figures.acquisitions;
      refused += figures.timeouts;
      const auto first = pool.acquire(), second = pool.acquire();
    }
    end_well(server, 2, seed);
  }
  // Both happen, or this shows little.
  EXPECT_GT(lent, tenure::test::rounds(1000u));
  EXPECT_GT(refused, tenure::test::rounds(1000u));
}

TEST(connection_pool_systematic, a_shutdown_ends_every_wait) {
  for (std::uint64_t seed = 0; seed < tenure::test::rounds(1500u); ++seed) {
    fake_server server;
    passing_time time;
    {
      pool_type pool(server.hooks(), time.options(1));
      systematic threads(seed);
      for (std::uint32_t id = 1; id <= 3; ++id) threads.add([&, id] { use(server, pool, id, 1h); });
      threads.add([&] {
        pool.suspend();
        systematic::yield();
        if (seed % 2 == 0) pool.resume();
        static_cast<void>(pool.shutdown());
      });
      threads.run();
      ASSERT_EQ(pool.shutdown(), 0u) << "seed " << seed;
      ASSERT_EQ(pool.statistics().open, 0u) << "seed " << seed;
      pool.check();
    }
    end_well(server, 1, seed);
  }
}

}  // namespace
