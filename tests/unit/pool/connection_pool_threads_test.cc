// Connection pools with threads of their own, threads that meet in one, and any order of events against a model.
#include <gtest/gtest.h>
#include <tenure/connection_pool.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "library/pool/connection_core.h"
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

TEST_F(ConnectionPoolThreads, WhoPollsHasOneOpened) {
  pool_type pool(server_.hooks(), {.maximum_pool_size = 5, .minimum_idle = 0});
  wait_for([&] { return static_cast<bool>(pool.try_acquire()); });
  EXPECT_EQ(server_.opened, 1u);
}

TEST_F(ConnectionPoolThreads, EndlessTimesKeepNobodyBusy) {
  constexpr auto endless = std::chrono::nanoseconds::max();
  std::atomic<int> looks = 0;
  // After one of the two times has come, the other never does.
  for (const bool is_leak : {false, true}) {
    auto of = options(2);
    of.threads = 1;
    of.max_lifetime = 0s;
    of.idle_timeout = is_leak ? endless : 10s;
    of.leak_detection_threshold = is_leak ? 2s : endless;
    of.clock = [&] {
      ++looks;
      return std::chrono::nanoseconds(now_.load());
    };
    pool_type pool(server_.hooks(), of);
    auto kept = pool.acquire();
    static_cast<void>(pool.acquire());
    ::testing::internal::CaptureStderr();
    advance(11s);
    wait_for([&] { return pool.statistics().leaks + pool.statistics().closed == 1; });
    std::this_thread::sleep_for(20ms);
    ::testing::internal::GetCapturedStderr();
    // Who waits for a moment looks each millisecond whether it has come.
    const int before = looks;
    std::this_thread::sleep_for(100ms);
    EXPECT_LE(looks - before, 4);
  }
}

// A peer that does not answer holds those that are being kept alive, and no others.
TEST_F(ConnectionPoolThreads, KeepAlivesThatHangLeaveTheRestInReach) {
  std::atomic<bool> hangs = false;
  auto hooks = server_.hooks();
  hooks.validate = [&](testing::fake_connection&, std::chrono::nanoseconds) {
    wait_for([&] { return !hangs; });
    return true;
  };
  auto of = options(10);
  of.threads = 2;
  of.validate_after = 1h;
  of.keepalive_time = 30s;
  of.clock = [this] { return std::chrono::nanoseconds(now_ += 1'000'000); };  // waits end by themselves
  pool_type pool(std::move(hooks), of);
  {
    std::vector<pool_type::handle> all;
    for (int i = 0; i < 6; ++i) all.push_back(pool.acquire());
  }
  hangs = true;
  advance(31s);
  wait_for([&] { return pool.statistics().validating == 1; });
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(pool.statistics().validating, 1u) << "one thread stays free";
  EXPECT_EQ(pool.statistics().idle, 5u);
  std::vector<pool_type::handle> all;
  for (int i = 0; i < 9; ++i) all.push_back(pool.try_acquire(2s));
  EXPECT_EQ(pool.statistics().borrowed, 9u) << "the last four were opened meanwhile";
  all.resize(3);
  wait_for([&] { return pool.statistics().idle == 6; });
  EXPECT_EQ(pool.shutdown(), 3u);
  wait_for([&] { return pool.statistics().open == 4; });
  hangs = false;
  all.clear();
  EXPECT_EQ(pool.shutdown(1h), 0u);
}

// While the pool is being made its threads are at work, and hooks may ask it.
TEST_F(ConnectionPoolThreads, HooksMayAskThePoolFromTheBeginning) {
  for (int round = 0; round < 20; ++round) {
    alignas(pool_type) std::byte memory[sizeof(pool_type)];
    std::memset(memory, 0xff, sizeof memory);
    auto* const pool = reinterpret_cast<pool_type*>(memory);
    auto hooks = server_.hooks();
    std::atomic<int> wrong = 0;
    hooks.connect = [&](std::chrono::nanoseconds) {
      if (std::string(pool->name()) != "orders" || pool->statistics().connecting == 0) ++wrong;
      return server_.connect();
    };
    ::new (memory) pool_type(std::move(hooks), {.name = "orders", .maximum_pool_size = 8, .threads = 8});
    wait_for([&] { return pool->statistics().idle == 8; });
    EXPECT_EQ(wrong, 0);
    pool->~pool_type();
  }
}

// Standard error that takes no more until it is read.
class full_standard_error {
 public:
  full_standard_error() : before_(::dup(2)) {
    EXPECT_EQ(::pipe(ends_), 0);
    ::fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    const char zeros[4096] = {};
    while (::write(ends_[1], zeros, sizeof zeros) > 0) {
    }
    while (::write(ends_[1], zeros, 1) > 0) {
    }
    ::fcntl(ends_[1], F_SETFL, 0);
    ::dup2(ends_[1], 2);
  }
  ~full_standard_error() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  // From here on it is what it was; what was written meanwhile can be read.
  void empty() const {
    char text[4096];
    ::dup2(before_, 2);
    ::close(before_);
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    for (int quiet = 0; quiet < 20;) {
      quiet = ::read(ends_[0], text, sizeof text) > 0 ? 0 : quiet + 1;
      std::this_thread::sleep_for(1ms);
    }
  }

 private:
  int before_;
  int ends_[2] = {};
};

TEST_F(ConnectionPoolThreads, ALeakThatComesBackIsToldWhileThePoolLives) {
  auto of = options(1);
  of.threads = 1;
  of.leak_detection_threshold = 2s;
  std::optional<pool_type> pool;
  pool.emplace(server_.hooks(), of);
  auto kept = pool->acquire();
  advance(3s);
  wait_for([&] { return pool->statistics().leaked == 1; });
  std::this_thread::sleep_for(20ms);  // the message
  std::thread returns;
  {
    const full_standard_error full;
    returns = std::thread([&] { kept.reset(); });
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(pool->statistics().borrowed, 1u);
    EXPECT_EQ(pool->shutdown(), 1u);
    full.empty();
    returns.join();
  }
  EXPECT_EQ(pool->shutdown(1h), 0u);
  pool.reset();
}

// What the destructor does when the last connection comes back after it has counted, step by step.
TEST_F(ConnectionPoolThreads, ThereIsNothingToReportOnceAllHaveComeBack) {
  auto actions = std::make_unique<detail::typed_connection_actions<testing::fake_connection>>(server_.hooks());
  detail::connection_core core(options(2), std::move(actions));
  detail::connection_slot* const slot = core.lend(1s, true, {});
  EXPECT_EQ(core.shutdown({}), 1u);
  core.take_back(slot, true);
  EXPECT_FALSE(core.report_abandoned({}));
  core.stop();
}

// Without threads the last connection is closed by whoever gives it back: the pool waits for that.
TEST_F(ConnectionPoolThreads, EndsAfterTheLastOneIsClosed) {
  std::atomic<bool> hangs = true, is_closing = false;
  auto hooks = server_.hooks();
  hooks.close = [&](testing::fake_connection& one) {
    is_closing = true;
    wait_for([&] { return !hangs; });
    server_.close(one);
  };
  std::optional<pool_type> pool;
  pool.emplace(std::move(hooks), options(1));
  auto kept = pool->acquire();
  std::thread returns([&] { kept.discard(); });
  wait_for([&] { return is_closing.load(); });
  std::thread ends([&] { pool.reset(); });
  std::this_thread::sleep_for(20ms);
  hangs = false;
  ends.join();
  returns.join();
}

TEST_F(ConnectionPoolThreads, EveryTimeMayBeEndlessOnAnyClock) {
  for (const std::int64_t start : {-1'000'000'000'000L, 0L, 1'000'000'000'000L}) {
    now_ = start;
    auto of = options(4);
    of.minimum_idle = 1;
    of.connection_timeout = of.validation_timeout = of.validate_after = of.idle_timeout = of.max_lifetime =
        of.leak_detection_threshold = std::chrono::nanoseconds::max();
    of.keepalive_time = std::chrono::nanoseconds::max() - 1ns;
    of.lifetime_jitter = 0;
    pool_type pool(server_.hooks(), of);
    pool.maintain();
    EXPECT_EQ(pool.statistics().idle, 1u);
    {
      auto first = pool.acquire(), second = pool.acquire();
      advance(24h);
      pool.maintain();
    }
    advance(24h);
    pool.maintain();
    EXPECT_EQ(pool.statistics().closed, 0u);
    EXPECT_EQ(pool.statistics().leaks, 0u);
    EXPECT_EQ(pool.statistics().validating, 0u);
    EXPECT_EQ(pool.shutdown(std::chrono::nanoseconds::max()), 0u);
  }
  EXPECT_EQ(server_.validated, 0u);
}

TEST_F(ConnectionPoolThreads, WhatComesBackGoesToOneThatIsNotConnecting) {
  std::atomic<bool> hangs = false, is_connecting = false;
  auto hooks = server_.hooks();
  hooks.connect = [&](std::chrono::nanoseconds) {
    if (hangs) is_connecting = true;
    wait_for([&] { return !hangs; });
    return server_.connect();
  };
  pool_type pool(std::move(hooks), options(2));
  auto held = pool.acquire();
  hangs = true;
  std::uint64_t opened_by_itself = 0;
  std::thread connects([&] { opened_by_itself = pool.acquire()->number; });
  wait_for([&] { return is_connecting.load(); });
  held.reset();
  pool.check();
  EXPECT_EQ(pool.statistics().idle, 1u);
  auto other = pool.try_acquire();
  EXPECT_TRUE(other);
  pool.check();
  hangs = false;
  connects.join();
  EXPECT_EQ(opened_by_itself, 2u);
}

TEST_F(ConnectionPoolThreads, OneThatFailsToConnectTakesWhatCameBackMeanwhile) {
  std::atomic<bool> hangs = false, is_connecting = false;
  auto hooks = server_.hooks();
  hooks.connect = [&](std::chrono::nanoseconds) {
    if (!hangs) return server_.connect();
    is_connecting = true;
    wait_for([&] { return !hangs; });
    throw std::runtime_error("connection refused");
  };
  pool_type pool(std::move(hooks), options(2));
  auto held = pool.acquire();
  hangs = true;
  std::uint64_t got = 0;
  std::thread connects([&] { got = pool.acquire()->number; });
  wait_for([&] { return is_connecting.load(); });
  held.reset();
  hangs = false;
  connects.join();
  EXPECT_EQ(got, 1u);
}

// What it is made of may be anything that can be returned.
struct immovable {
  explicit immovable(int& opened) : open(&++opened) {}
  immovable(const immovable&) = delete;
  immovable& operator=(const immovable&) = delete;
  static void* operator new(std::size_t size) {
    if (has_no_memory) throw std::bad_alloc();
    return ::operator new(size);
  }
  static void operator delete(void* block) { ::operator delete(block); }
  static inline bool has_no_memory = false;
  int* open;
};

TEST_F(ConnectionPoolThreads, NothingIsOpenedForWhichThereIsNoMemory) {
  int opened = 0;
  auto of = options(1);
  of.clock = [this] { return std::chrono::nanoseconds(now_ += 10'000'000); };
  connection_pool<immovable> pool({.connect = [&](std::chrono::nanoseconds) { return immovable(opened); },
                                   .close = [](immovable& one) { --*one.open; }},
                                  of);
  immovable::has_no_memory = true;
  EXPECT_THROW(static_cast<void>(pool.acquire(1s)), connection_unavailable);
  EXPECT_EQ(opened, 0);
  EXPECT_EQ(pool.statistics().open, 0u);
  pool.check();
  immovable::has_no_memory = false;
  EXPECT_TRUE(pool.acquire());
  EXPECT_EQ(opened, 1);
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
    std::uint64_t failures = 0;
    std::int64_t failed_at = -3'600'000'000'000;
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
            // Only where the server is down, and for as long after as a failure is not tried again.
            ASSERT_TRUE(after.connect_failures > before.connect_failures || now_ - failed_at <= 5'000'000'000)
                << "seed " << seed;
          }
        }
      }
      if (const std::uint64_t seen = pool.statistics().connect_failures; std::exchange(failures, seen) != seen) {
        failed_at = now_;
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
