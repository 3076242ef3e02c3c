// Threads that take buffers, fill them, slice them and send the slices round, while others give back what is kept and
// list what is pinned: every byte of a slice says whose it is until the last one goes.
#include <gtest/gtest.h>
#include <tenure/buffer_pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/sanitizers.h"

namespace tenure {
namespace {

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr int rounds = 4'000;
#else
constexpr int rounds = 60'000;
#endif

struct parcel {
  buffer_slice slice;
  std::byte mark;
};

struct belt {
  std::mutex lock;
  std::vector<parcel> waiting;
};

bool is_whole(const parcel& of) {
  for (const std::byte each : of.slice.span()) {
    if (each != of.mark) return false;
  }
  return true;
}

void work(buffer_pool& pool, std::array<belt, 4>& belts, unsigned number, std::atomic<std::uint64_t>& broken) {
  std::mt19937 dice(number);
  std::vector<parcel> mine;
  for (int round = 0; round < rounds; ++round) {
    buffer_lease lease = pool.take(256u << (dice() % 6));
    const auto mark = static_cast<std::byte>(dice());
    const std::size_t bytes = 1 + dice() % 300;
    std::memset(lease.data(), static_cast<int>(mark), bytes);
    if (dice() % 8 == 0) lease = buffer_lease::adopt(lease.release());
    parcel made{std::move(lease).share(bytes), mark};
    for (auto copies = dice() % 3; copies != 0; --copies) {
      const std::size_t offset = dice() % bytes;
      parcel part{made.slice.slice(offset, dice() % (bytes - offset + 1)), mark};
      belt& to = belts[dice() % belts.size()];
      const std::lock_guard held(to.lock);
      to.waiting.push_back(std::move(part));
    }
    if (dice() % 2 == 0) mine.push_back(std::move(made));
    {
      belt& from = belts[number % belts.size()];
      const std::lock_guard held(from.lock);
      for (parcel& each : from.waiting) mine.push_back(std::move(each));
      from.waiting.clear();
    }
    while (mine.size() > 40) {
      std::swap(mine[dice() % mine.size()], mine.back());
      if (!is_whole(mine.back())) ++broken;
      mine.pop_back();
    }
  }
}

TEST(BufferPoolStress, SlicesKeepTheirBytesUntilTheLastGoes) {
  buffer_pool pool({.name = "stress",
                    .keep_bytes = 1 << 20,
                    .keep_for = std::chrono::milliseconds(2),
                    .checks = resource_checks::off});
  std::array<belt, 4> belts;
  std::atomic<std::uint64_t> broken = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> all;
  for (unsigned number = 0; number < 4; ++number) {
    all.emplace_back([&, number] { work(pool, belts, number, broken); });
  }
  std::thread looks([&] {
    while (!done) {
      for (const pinned_buffers& one : pool.pinned()) {
        if (one.pinned_bytes > one.held_bytes || one.buffers == 0) ++broken;
      }
      if (pool.statistics().kept_bytes > 1 << 20) ++broken;
      std::uint64_t live = 0;
      pool.for_each_live([&](const live_block& block) { live += block.bytes; });
      if (live % 512 != 0) ++broken;
      pool.trim();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (std::thread& one : all) one.join();
  done = true;
  looks.join();
  for (belt& each : belts) each.waiting.clear();
  EXPECT_EQ(broken, 0u);
  EXPECT_EQ(pool.statistics().used_buffers, 0u);
  EXPECT_EQ(pool.statistics().takes, 4u * rounds);
  pool.check();
}

// The figures are those of one moment: a thread that has one buffer at a time, of two shards by turns, never has two,
// and what other threads give back never leaves less than none.
TEST(BufferPoolStress, FiguresAreOfOneMoment) {
  buffer_pool pool({.name = "moment", .has_thread = false, .checks = resource_checks::off});
  // Each thread keeps in a shard of its own, at least two of these.
  for (const std::size_t bytes : {512u, 1024u, 2048u}) {
    std::thread([&] { static_cast<void>(pool.take(bytes)); }).join();
  }
  std::atomic<bool> done = false;
  std::thread takes([&] {
    for (int i = 0; i < 10 * rounds; ++i) {
      for (const std::size_t bytes : {512u, 1024u, 2048u}) static_cast<void>(pool.take(bytes));
    }
    done = true;
  });
  std::uint64_t too_many = 0;
  while (!done) too_many += pool.statistics().used_buffers > 1;
  takes.join();
  EXPECT_EQ(too_many, 0u);
}

TEST(BufferPoolStress, NoFigureFallsBelowNone) {
  buffer_pool pool({.name = "belt", .has_thread = false, .checks = resource_checks::off});
  std::mutex lock;
  std::vector<buffer_lease> belt;
  std::atomic<bool> done = false;
  std::thread takes([&] {
    while (!done) {
      buffer_lease one = pool.take(4096);
      const std::lock_guard held(lock);
      if (belt.size() < 1000) belt.push_back(std::move(one));
    }
  });
  std::thread returns([&] {
    while (!done) {
      std::vector<buffer_lease> all;
      const std::lock_guard held(lock);
      all.swap(belt);
    }
  });
  std::uint64_t wrapped = 0;
  for (int i = 0; i < rounds; ++i) {
    tenure_account_stats figures{};
    figures.struct_size = sizeof figures;
    tenure_account_statistics(pool.account(), &figures);
    const std::uint64_t most = std::uint64_t{1} << 40;
    wrapped += pool.statistics().used_bytes > most || figures.used_bytes > most || figures.used_blocks > most ||
               figures.peak_used_bytes > most;
  }
  done = true;
  takes.join();
  returns.join();
  belt.clear();
  EXPECT_EQ(wrapped, 0u);
  pool.check();
}

// Whoever sees no buffer in use may end the pool, though the thread that brought the last one back is hardly out of it.
TEST(BufferPoolStress, EndsWhileTheLastComesBack) {
  for (int round = 0; round < rounds / 100; ++round) {
    auto pool = std::make_unique<buffer_pool>(buffer_pool_options{.name = "ends",
                                                                  .keep_bytes = (round % 2) * (std::uint64_t{1} << 20),
                                                                  .has_thread = false,
                                                                  .checks = resource_checks::off});
    buffer_slice last = pool->take(4096).share(100);
    std::atomic<bool> goes = false;
    std::thread returns([&] {
      goes = true;
      last.reset();
    });
    while (!goes || pool->statistics().used_buffers != 0) std::this_thread::yield();
    pool.reset();
    returns.join();
  }
}

// At a limit that all of them meet all the time.
TEST(BufferPoolStress, TheLimitHolds) {
  buffer_pool pool({.name = "limited", .keep_for = std::chrono::nanoseconds(), .checks = resource_checks::off});
  const std::uint64_t limit = pool.statistics().held_bytes + (64 << 10) + (256 << 10);
  pool.set_limits({.hard_bytes = limit});
  std::atomic<std::uint64_t> refused = 0;
  std::vector<std::thread> all;
  for (unsigned number = 0; number < 4; ++number) {
    all.emplace_back([&, number] {
      std::mt19937 dice(number);
      std::vector<buffer_lease> mine;
      for (int round = 0; round < rounds / 4; ++round) {
        try {
          mine.push_back(pool.take(512u << (dice() % 8)));
        } catch (const std::bad_alloc&) {
          ++refused;
          mine.clear();
        }
        if (mine.size() > 8) mine.clear();
      }
    });
  }
  for (std::thread& one : all) one.join();
  EXPECT_LE(pool.statistics().peak_held_bytes, limit);
  EXPECT_GT(refused, 0u);
  pool.check();
}

}  // namespace
}  // namespace tenure
