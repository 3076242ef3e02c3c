// Connection pools on a server that is none, and on a clock that the test drives.
#include <gtest/gtest.h>
#include <tenure/connection_pool.hpp>

#include <atomic>
#include <cmath>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "unit/pool/connection_pool_fixture.h"

namespace tenure {
namespace {

using namespace std::chrono_literals;
using pool_type = connection_pool<testing::fake_connection>;
using ConnectionPool = testing::connection_pool_fixture;

TEST_F(ConnectionPool, LendsTheOneThatWasUsedLast) {
  pool_type pool(server_.hooks(), options(3));
  auto first = pool.acquire();
  auto second = pool.acquire();
  EXPECT_EQ(first->number, 1u);
  EXPECT_EQ(second->number, 2u);
  advance(1ms);
  second.reset();
  advance(1ms);
  first.reset();
  EXPECT_EQ(pool.acquire()->number, 1u);
  EXPECT_EQ(server_.opened, 2u);
  pool.check();
  const auto seen = pool.statistics();
  EXPECT_EQ(seen.open, 2u);
  EXPECT_EQ(seen.idle, 2u);
  EXPECT_EQ(seen.borrowed, 0u);
  EXPECT_EQ(seen.acquisitions, 3u);
  EXPECT_EQ(seen.use.count(), 3u);
  EXPECT_EQ(seen.creation.count(), 2u);
}

TEST_F(ConnectionPool, NeverOpensMoreThanItMay) {
  pool_type pool(server_.hooks(), options(4));
  std::vector<pool_type::handle> all;
  for (int i = 0; i < 4; ++i) all.push_back(pool.acquire());
  EXPECT_FALSE(pool.try_acquire());
  std::thread([&] { EXPECT_FALSE(pool.try_acquire()); }).join();
  try {
    static_cast<void>(pool.acquire(0s));
    FAIL();
  } catch (const connection_unavailable& why) {
    EXPECT_FALSE(why.is_shut_down());
    EXPECT_STREQ(
        why.what(),
        ("connection pool \"orders\": no connection within 0 s: 4 of 4 in use, 0 being opened, 0 more waiting; the "
         "longest is with thread " +
         std::to_string(::gettid()) + " since 0 s; this thread has 4 of them itself")
            .c_str());
  }
  EXPECT_EQ(pool.statistics().timeouts, 3u);
  EXPECT_EQ(server_.open_most, 4);
}

TEST_F(ConnectionPool, ServesThoseWhoWaitInTheirOrder) {
  pool_type pool(server_.hooks(), options(1));
  auto held = pool.acquire();
  std::mutex lock;
  std::vector<int> order;
  std::vector<std::thread> all;
  for (int i = 0; i < 8; ++i) {
    all.emplace_back([&, i] {
      auto mine = pool.acquire();
      const std::lock_guard guard(lock);
      order.push_back(i);
    });
    wait_for([&] { return pool.statistics().waiting == static_cast<std::size_t>(i) + 1; });
  }
  pool.check();
  held.reset();
  // Whoever comes now is behind them.
  auto late = pool.acquire();
  {
    const std::lock_guard guard(lock);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
  late.reset();
  for (std::thread& one : all) one.join();
  EXPECT_EQ(server_.opened, 1u);
}

TEST_F(ConnectionPool, WhoFindsABrokenOneKeepsItsPlace) {
  auto of = options(1);
  of.validate_after = 0s;
  pool_type pool(server_.hooks(), of);
  auto held = pool.acquire();
  std::mutex lock;
  std::vector<int> order;
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&, i] {
      auto mine = pool.acquire();
      EXPECT_TRUE(server_.works(*mine));
      const std::lock_guard guard(lock);
      order.push_back(i);
    });
    wait_for([&] { return pool.statistics().waiting == static_cast<std::size_t>(i) + 1; });
  }
  server_.restart();
  held.reset();
  for (std::thread& one : all) one.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(pool.statistics().validation_failures, 1u);
  EXPECT_EQ(server_.open_most, 1);
}

TEST_F(ConnectionPool, ValidatesWhatHasRestedForLong) {
  pool_type pool(server_.hooks(), options(2));
  static_cast<void>(pool.acquire());
  advance(499ms);
  static_cast<void>(pool.acquire());
  EXPECT_EQ(server_.validated, 0u);
  advance(500ms);
  static_cast<void>(pool.acquire());
  EXPECT_EQ(server_.validated, 1u);
  server_.restart();
  advance(1s);
  EXPECT_EQ(pool.acquire()->number, 2u);
  EXPECT_EQ(server_.validated, 2u);
  EXPECT_EQ(pool.statistics().validation_failures, 1u);
  EXPECT_EQ(pool.statistics().open, 1u);
}

TEST_F(ConnectionPool, AShortTimeoutLeavesHealthyOnesAlone) {
  auto of = options(5);
  of.minimum_idle = 5;
  pool_type pool(server_.hooks(), of);
  pool.maintain();
  advance(600ms);
  EXPECT_TRUE(pool.try_acquire());
  advance(600ms);
  EXPECT_TRUE(pool.try_acquire(1us));
  EXPECT_EQ(server_.validated, 2u);
  EXPECT_EQ(pool.statistics().validation_failures, 0u);
  EXPECT_EQ(server_.closed, 0u);
}

TEST_F(ConnectionPool, WaitsForOneValidationBeyondItsTimeAndNoMore) {
  auto hooks = server_.hooks();
  hooks.validate = [&](testing::fake_connection&, std::chrono::nanoseconds left) {
    EXPECT_EQ(left, 250ms);
    advance(left);
    return false;
  };
  auto of = options(5);
  of.minimum_idle = 5;
  pool_type pool(std::move(hooks), of);
  pool.maintain();
  advance(600ms);
  EXPECT_FALSE(pool.try_acquire(1ms));
  EXPECT_EQ(pool.statistics().validation_failures, 1u);
  EXPECT_EQ(pool.statistics().idle, 4u);
}

TEST_F(ConnectionPool, WhoPollsHasOneOpened) {
  pool_type pool(server_.hooks(), options(3));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(pool.try_acquire());
  EXPECT_EQ(server_.opened, 0u);
  pool.maintain();
  EXPECT_EQ(server_.opened, 1u) << "one, however often it was asked for";
  auto first = pool.try_acquire();
  ASSERT_TRUE(first);
  pool.maintain();
  EXPECT_EQ(server_.opened, 1u);
  EXPECT_FALSE(pool.try_acquire());
  first.reset();  // what was wanted is there
  first = pool.try_acquire();
  pool.maintain();
  EXPECT_EQ(server_.opened, 1u);
}

TEST_F(ConnectionPool, UseAndValidationPutAKeepAliveOff) {
  const auto count = [&](std::chrono::nanoseconds validate_after) {
    const std::uint64_t before = server_.validated;
    auto of = options(1);
    of.validate_after = validate_after;
    of.keepalive_time = 30s;
    pool_type pool(server_.hooks(), of);
    static_cast<void>(pool.acquire());
    for (int i = 0; i < 6; ++i) {
      advance(20s);
      static_cast<void>(pool.acquire());
      pool.maintain();
    }
    const std::uint64_t meanwhile = server_.validated - before;
    advance(30s);
    pool.maintain();
    EXPECT_EQ(server_.validated - before, meanwhile + 1);
    return meanwhile;
  };
  EXPECT_EQ(count(500ms), 6u) << "those before it was lent";
  EXPECT_EQ(count(1h), 0u);
}

TEST_F(ConnectionPool, AValidationThatThrowsHasFailed) {
  auto hooks = server_.hooks();
  bool throws = false;
  hooks.validate = [&](testing::fake_connection&, std::chrono::nanoseconds left) {
    EXPECT_GT(left, 0s);
    EXPECT_LE(left, 5s);
    if (throws) throw 7;
    return true;
  };
  pool_type pool(std::move(hooks), options(1));
  static_cast<void>(pool.acquire());
  advance(1s);
  throws = true;
  EXPECT_EQ(pool.acquire()->number, 2u);
}

TEST_F(ConnectionPool, EndsConnectionsAtTheirLifetimesAndNotAllAtOnce) {
  auto of = options(20);
  of.idle_timeout = 0s;
  pool_type pool(server_.hooks(), of);
  std::vector<pool_type::handle> all;
  for (int i = 0; i < 20; ++i) all.push_back(pool.acquire());
  auto stays = std::move(all.back());
  all.clear();
  advance(29min + 14s);
  pool.maintain();
  EXPECT_EQ(server_.closed, 0u) << "none goes earlier than the jitter says";
  std::set<std::uint64_t> steps;
  for (int second = 0; second <= 46; ++second) {
    advance(1s);
    pool.maintain();
    steps.insert(server_.closed);
  }
  EXPECT_EQ(server_.closed, 19u);
  EXPECT_GT(steps.size(), 5u);
  EXPECT_EQ(pool.statistics().expired, 19u);
  // One that is lent goes when it comes back.
  EXPECT_TRUE(server_.works(*stays));
  stays.reset();
  EXPECT_EQ(server_.closed, 20u);
}

TEST_F(ConnectionPool, LendsNothingBeyondItsLifetime) {
  pool_type pool(server_.hooks(), options(1));
  static_cast<void>(pool.acquire());
  advance(31min);
  EXPECT_EQ(pool.acquire()->number, 2u);
  EXPECT_EQ(server_.open_most, 1);
}

TEST_F(ConnectionPool, KeepsTheLeastThatShouldBeIdle) {
  auto of = options(8);
  of.minimum_idle = 3;
  pool_type pool(server_.hooks(), of);
  pool.maintain();
  EXPECT_EQ(pool.statistics().idle, 3u);
  std::vector<pool_type::handle> all;
  for (int i = 0; i < 6; ++i) all.push_back(pool.acquire());
  pool.maintain();
  EXPECT_EQ(pool.statistics().open, 8u) << "the least is three, but there is room for two";
  all.clear();
  advance(9min);
  auto busy = pool.acquire();
  busy.reset();
  advance(59s);
  pool.maintain();
  EXPECT_EQ(pool.statistics().idle, 8u);
  advance(2s);
  pool.maintain();
  EXPECT_EQ(pool.statistics().idle, 3u);
  EXPECT_EQ(pool.statistics().unneeded, 5u);
  pool.check();
}

TEST_F(ConnectionPool, NothingIsIdleForTooLongWhereAllShallBe) {
  auto of = options(4);
  of.minimum_idle = connection_pool_options::as_maximum;
  of.max_lifetime = 0s;
  pool_type pool(server_.hooks(), of);
  pool.maintain();
  advance(24h);
  pool.maintain();
  EXPECT_EQ(pool.statistics().idle, 4u);
  EXPECT_EQ(server_.closed, 0u);
}

TEST_F(ConnectionPool, KeepsIdleOnesAlive) {
  auto of = options(3);
  of.minimum_idle = 3;
  of.keepalive_time = 2min;
  pool_type pool(server_.hooks(), of);
  pool.maintain();
  for (int i = 0; i < 120; ++i) {
    advance(1s);
    pool.maintain();
  }
  EXPECT_EQ(server_.validated, 3u);
  server_.restart();
  for (int i = 0; i < 120; ++i) {
    advance(1s);
    pool.maintain();
    pool.check();
  }
  EXPECT_EQ(pool.statistics().validation_failures, 3u);
  EXPECT_EQ(pool.statistics().idle, 3u) << "others have come in their place";
  EXPECT_EQ(server_.opened, 6u);
}

[[gnu::noinline]] pool_type::handle borrow_and_forget(pool_type& pool) { return pool.acquire(); }

TEST_F(ConnectionPool, TellsWhoKeepsAConnectionForTooLong) {
  auto of = options(3);
  of.leak_detection_threshold = 10s;
  pool_type pool(server_.hooks(), of);
  auto other = pool.acquire();
  other.reset();
  auto kept = borrow_and_forget(pool);
  advance(9s);
  ::testing::internal::CaptureStderr();
  pool.maintain();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  advance(1s);
  ::testing::internal::CaptureStderr();
  pool.maintain();
  pool.maintain();
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(
      told.find("tenure: connection 1 has been out for 10 s, longer than leak_detection_threshold, connection pool "
                "\"orders\", in process"),
      std::string::npos)
      << told;
  EXPECT_NE(told.find("borrowed\n      at 0x"), std::string::npos) << told;
  EXPECT_EQ(told.find("has been out", told.find("has been out") + 1), std::string::npos) << "told once";
  EXPECT_EQ(pool.statistics().leaked, 1u);
  EXPECT_TRUE(pool.who().front().is_leaked);
  advance(5s);
  ::testing::internal::CaptureStderr();
  kept.reset();
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("connection 1, told as leaked, came back after 15 s"),
            std::string::npos);
  EXPECT_EQ(pool.statistics().leaked, 0u);
  EXPECT_EQ(pool.statistics().leaks, 1u);
}

TEST_F(ConnectionPool, ListsItsBorrowers) {
  pool_type pool(server_.hooks(), options(3));
  auto first = borrow_and_forget(pool);
  advance(3s);
  std::atomic<std::uint32_t> id = 0;
  std::atomic<bool> done = false;
  std::thread other([&] {
    pthread_setname_np(pthread_self(), "borrower");
    auto mine = pool.acquire();
    id = static_cast<std::uint32_t>(::gettid());
    while (!done) std::this_thread::sleep_for(1ms);
  });
  wait_for([&] { return id != 0; });
  advance(4s);
  const auto all = pool.who();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].connection, 1u);
  EXPECT_EQ(all[0].age, 7s);
  EXPECT_EQ(all[0].thread, static_cast<std::uint32_t>(::gettid()));
  EXPECT_GT(all[0].site.frame_count, 1u);
  EXPECT_EQ(all[1].age, 4s);
  EXPECT_EQ(all[1].thread, id);
  EXPECT_EQ(all[1].thread_name, "borrower");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(pool.report_borrowers(), 2u);
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("connection 2 is with thread " + std::to_string(id) + " (borrower) since 4 s"), std::string::npos)
      << told;
  done = true;
  other.join();
}

TEST_F(ConnectionPool, TimeInSuspensionDoesNotCount) {
  pool_type pool(server_.hooks(), options(2));
  static_cast<void>(pool.acquire());
  pool.suspend();
  EXPECT_EQ(pool.statistics().idle, 1u);
  std::atomic<int> got = 0;
  std::thread waits([&] {
    auto mine = pool.acquire(10s);
    got = static_cast<int>(mine->number);
  });
  wait_for([&] { return pool.statistics().waiting == 1; });
  advance(1h);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(got, 0);
  advance(-1h + 1min);  // or it would be too old
  pool.resume();
  waits.join();
  EXPECT_EQ(got, 1);
  // What it had waited for before does.
  auto first = pool.acquire(), second = pool.acquire();
  std::atomic<bool> refused = false;
  std::thread late([&] {
    EXPECT_FALSE(pool.try_acquire(10s));
    refused = true;
  });
  wait_for([&] { return pool.statistics().waiting == 1; });
  advance(6s);
  pool.suspend();
  advance(1min);
  pool.resume();
  advance(3s);
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(refused);
  advance(2s);
  late.join();
}

TEST_F(ConnectionPool, EvictsSoftly) {
  pool_type pool(server_.hooks(), options(3));
  auto kept = pool.acquire();
  static_cast<void>(pool.acquire());
  pool.soft_evict();
  EXPECT_EQ(server_.closed, 1u);
  EXPECT_TRUE(server_.works(*kept));
  kept.reset();
  EXPECT_EQ(server_.closed, 2u);
  EXPECT_EQ(pool.statistics().evicted, 2u);
  EXPECT_EQ(pool.acquire()->number, 3u);
}

TEST_F(ConnectionPool, ClosesWhatIsDiscarded) {
  pool_type pool(server_.hooks(), options(1));
  auto broken = pool.acquire();
  broken.discard();
  EXPECT_FALSE(broken);
  EXPECT_EQ(server_.closed, 1u);
  EXPECT_EQ(pool.acquire()->number, 2u);
  EXPECT_EQ(pool.statistics().discarded, 1u);
}

TEST_F(ConnectionPool, WaitsLongerAfterEachFailureToConnect) {
  auto of = options(1);
  of.minimum_idle = 1;
  pool_type pool(server_.hooks(), of);
  server_.is_down = true;
  std::vector<std::int64_t> attempts;
  std::uint64_t failures = 0;
  for (int ms = 0; ms < 20'000; ms += 10) {
    pool.maintain();
    if (const std::uint64_t now = pool.statistics().connect_failures; now != failures) {
      EXPECT_EQ(now, failures + 1);
      failures = now;
      attempts.push_back(ms);
    }
    advance(10ms);
  }
  EXPECT_EQ(attempts, (std::vector<std::int64_t>{0, 100, 300, 700, 1500, 3100, 6300, 11'300, 16'300}));
  try {
    static_cast<void>(pool.acquire(0s));
    FAIL();
  } catch (const connection_unavailable& why) {
    EXPECT_NE(std::string(why.what()).find("the last connect failed: connection refused"), std::string::npos);
  }
  server_.is_down = false;
  advance(5s);
  EXPECT_EQ(pool.acquire()->number, 1u);
}

TEST_F(ConnectionPool, IsShutDown) {
  std::optional<pool_type> pool;
  pool.emplace(server_.hooks(), options(2));
  auto kept = pool->acquire();
  static_cast<void>(pool->acquire());
  auto third = pool->acquire();
  std::thread waits([&] {
    try {
      static_cast<void>(pool->acquire());
      ADD_FAILURE();
    } catch (const connection_unavailable& why) {
      EXPECT_TRUE(why.is_shut_down());
      EXPECT_STREQ(why.what(), "connection pool \"orders\" is shut down");
    }
  });
  wait_for([&] { return pool->statistics().waiting == 1; });
  EXPECT_EQ(pool->shutdown(), 2u);
  waits.join();
  third.reset();
  EXPECT_EQ(pool->shutdown(), 1u);
  EXPECT_FALSE(pool->try_acquire());
  std::thread returns([&] {
    advance(1s);
    kept.reset();
  });
  EXPECT_EQ(pool->shutdown(1h), 0u);
  returns.join();
  EXPECT_EQ(server_.closed, 2u);
  EXPECT_EQ(pool->statistics().timeouts, 0u);
}

TEST_F(ConnectionPool, IsInTheLedger) {
  tenure::account server("server");
  server.set_limits({.hard_bytes = 5 << 20});
  auto of = options(10);
  of.connection_bytes = 1 << 20;
  of.parent = &server;
  of.clock = [this] { return std::chrono::nanoseconds(now_ += 10'000'000); };  // waits end by themselves
  pool_type pool(server_.hooks(), of);
  std::vector<pool_type::handle> all;
  for (int i = 0; i < 4; ++i) all.push_back(pool.acquire());
  all.pop_back();
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(pool.account(), &figures), 1);
  EXPECT_STREQ(figures.name, "orders");
  EXPECT_STREQ(figures.kind, "connection pool");
  EXPECT_EQ(figures.held_blocks, 4u);
  EXPECT_GE(figures.held_bytes, 4u << 20);
  EXPECT_LT(figures.held_bytes, (4u << 20) + (16u << 10));
  EXPECT_EQ(figures.used_blocks, 3u);
  EXPECT_EQ(figures.used_bytes, 3u << 20);
  EXPECT_EQ(figures.peak_used_bytes, 4u << 20);
  all.push_back(pool.acquire());
  // The fifth and the pool itself are more than there is.
  ASSERT_EQ(pool.statistics().connect_failures, 0u);
  try {
    static_cast<void>(pool.acquire(1s));
    FAIL();
  } catch (const connection_unavailable& why) {
    EXPECT_NE(std::string(why.what()).find("the last connect failed: the budget has no room for it"), std::string::npos)
        << why.what();
  }
  EXPECT_GE(pool.statistics().connect_failures, 1u);
  EXPECT_EQ(server_.opened, 4u);
}

TEST_F(ConnectionPool, RefusesOptionsThatCannotBe) {
  const auto says = [&](auto change, const char* what) {
    auto of = options(1);
    change(of);
    try {
      pool_type pool(server_.hooks(), of);
      ADD_FAILURE() << what;
    } catch (const std::invalid_argument& why) {
      EXPECT_EQ(why.what(), std::string("tenure::connection_pool: ") + what);
    }
  };
  says([](auto& of) { of.maximum_pool_size = 0; }, "maximum_pool_size is at least 1");
  says([](auto& of) { of.connection_timeout = 249ms; }, "connection_timeout is at least 250 ms");
  says([](auto& of) { of.validation_timeout = 0s; }, "validation_timeout is at least 250 ms");
  says([](auto& of) { of.idle_timeout = 9s; }, "idle_timeout is at least 10 s, or 0 for none");
  says([](auto& of) { of.max_lifetime = 29s; }, "max_lifetime is at least 30 s, or 0 for none");
  says([](auto& of) { of.keepalive_time = 29s; }, "keepalive_time is at least 30 s, or 0 for none");
  says([](auto& of) { of.keepalive_time = 30min; }, "keepalive_time is less than max_lifetime");
  says([](auto& of) { of.leak_detection_threshold = 1s; }, "leak_detection_threshold is at least 2 s, or 0 for none");
  says([](auto& of) { of.lifetime_jitter = 1; }, "lifetime_jitter is at least 0 and less than 1");
  says([](auto& of) { of.lifetime_jitter = std::nan(""); }, "lifetime_jitter is at least 0 and less than 1");
  EXPECT_THROW(pool_type({}, options(1)), std::invalid_argument);
}

TEST_F(ConnectionPool, EndsInAMessageWithConnectionsOut) {
  const auto abandon = [&] {
    pool_type::handle kept;
    pool_type pool(server_.hooks(), options(2));
    kept = borrow_and_forget(pool);
  };
  EXPECT_DEATH(abandon(),
               "pool destroyed with 1 of its connections out, for the longest time connection 1: 0x.*, connection pool "
               "\"orders\"(.|\n)*borrowed\n(.|\n)*at 0x(.|\n)*destroyed\n(.|\n)*at 0x");
}

}  // namespace
}  // namespace tenure
