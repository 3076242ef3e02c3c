// Many threads on few connections, while the server goes down and comes back: each connection has a stamp that only its
// user may find changed, and the server counts what is open.
#include <gtest/gtest.h>
#include <tenure/connection_pool.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "core/base/sanitizers.h"
#include "unit/pool/fake_server.h"

namespace tenure {
namespace {

using namespace std::chrono_literals;
using testing::fake_connection;
using testing::fake_server;
using pool_type = connection_pool<fake_connection>;

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr int rounds = 2'000;
#else
constexpr int rounds = 20'000;
#endif

struct outcome {
  std::atomic<std::uint64_t> lent = 0, refused = 0, broken = 0;
};

void use(pool_type& pool, fake_server& server, std::uint32_t id, outcome& seen) {
  std::mt19937 dice(id);
  for (int round = 0; round < rounds; ++round) {
    // Short enough that many give up just when a connection comes.
    auto one = pool.try_acquire(std::chrono::microseconds(dice() % 300));
    if (!one) {
      ++seen.refused;
      continue;
    }
    ++seen.lent;
    server.claim(*one, id);
    if (dice() % 16 == 0) std::this_thread::yield();
    server.unclaim(*one, id);
    if (!server.works(*one)) {
      ++seen.broken;
      one.discard();
    } else if (dice() % 200 == 0) {
      one.discard();
    }
  }
}

void run(std::size_t own_threads, std::chrono::nanoseconds validate_after) {
  fake_server server;
  outcome seen;
  {
    pool_type pool(server.hooks(), {.name = "stress",
                                    .maximum_pool_size = 3,
                                    .minimum_idle = 1,
                                    .validate_after = validate_after,
                                    .threads = own_threads});
    std::vector<std::thread> all;
    for (std::uint32_t id = 1; id <= 8; ++id) all.emplace_back([&, id] { use(pool, server, id, seen); });
    std::atomic<bool> done = false;
    std::thread trouble([&] {
      std::mt19937 dice(99);
      while (!done) {
        switch (dice() % 6) {
          case 0:
            server.restart();
            break;
          case 1:
            server.is_down = true;
            std::this_thread::sleep_for(1ms);
            server.is_down = false;
            break;
          case 2:
            pool.soft_evict();
            break;
          case 3:
            pool.suspend();
            std::this_thread::sleep_for(1ms);
            pool.resume();
            break;
          case 4:
            pool.maintain();
            break;
          default:
            static_cast<void>(pool.who());
        }
        pool.check();
        std::this_thread::sleep_for(2ms);
      }
    });
    for (std::thread& one : all) one.join();
    done = true;
    trouble.join();
    const auto figures = pool.statistics();
    EXPECT_EQ(figures.borrowed, 0u);
    EXPECT_EQ(figures.waiting, 0u);
    EXPECT_EQ(figures.acquisitions, seen.lent);
    EXPECT_EQ(figures.timeouts, seen.refused);
    // None was lost: all of them can be had at once.
    std::vector<pool_type::handle> at_once;
    for (int i = 0; i < 3; ++i) at_once.push_back(pool.acquire());
    pool.check();
  }
  EXPECT_EQ(server.clashes, 0u);
  EXPECT_LE(server.open_most, 3);
  EXPECT_EQ(server.opened, server.closed);
  EXPECT_EQ(server.open_now, 0);
  EXPECT_GT(seen.lent, 0u);
}

TEST(ConnectionPoolStress, NoConnectionIsLentTwiceOrLost) { run(2, 0ns); }
TEST(ConnectionPoolStress, TheSameWithoutThreadsOfItsOwn) { run(0, 500ms); }

// Waiters that give up at the moment in which they are handed a connection.
TEST(ConnectionPoolStress, WhatIsHandedToOneThatGivesUpIsItsAllTheSame) {
  fake_server server;
  {
    pool_type pool(server.hooks(), {.maximum_pool_size = 1, .threads = 0});
    std::vector<std::thread> all;
    std::atomic<std::uint64_t> lent = 0, refused = 0;
    for (std::uint32_t id = 1; id <= 4; ++id) {
      all.emplace_back([&, id] {
        std::mt19937 dice(id);
        for (int round = 0; round < rounds; ++round) {
          if (auto one = pool.try_acquire(std::chrono::nanoseconds(dice() % 20'000)); one) {
            server.claim(*one, id);
            server.unclaim(*one, id);
            ++lent;
          } else {
            ++refused;
          }
        }
      });
    }
    for (std::thread& one : all) one.join();
    EXPECT_EQ(pool.statistics().idle, 1u);
    EXPECT_EQ(lent + refused, 4u * rounds);
  }
  EXPECT_EQ(server.opened, 1u);
  EXPECT_EQ(server.clashes, 0u);
}

// Pools end while their threads connect, close and keep alive.
TEST(ConnectionPoolStress, PoolsComeAndGo) {
  fake_server server;
  for (int round = 0; round < 100; ++round) {
    pool_type pool(server.hooks(), {.maximum_pool_size = 4, .threads = 1 + static_cast<std::size_t>(round) % 3});
    if (round % 3 == 0) static_cast<void>(pool.acquire());
    if (round % 5 == 0) pool.soft_evict();
  }
  EXPECT_EQ(server.opened, server.closed);
}

}  // namespace
}  // namespace tenure
