// A buffer pool step by step: threads stop before, within and behind each lock, between a buffer's last reference and
// its way back, and while one that nobody keeps goes to the upstream; others give back what is kept, list what is in
// use, or end the pool. A buffer in two hands is seen by its stamp, one that is lost, or goes back twice, by the
// upstream, which knows its blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include <tenure/buffer_pool.hpp>

#include "core/base/yield_point.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

// Of one thread at a time, as all here.
class known_blocks final : public std::pmr::memory_resource {
 public:
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& [block, size] : live_) sum += size;
    return sum;
  }
  std::size_t blocks() const { return live_.size(); }
  std::size_t strangers = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const block = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    live_[block] = bytes;
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    const auto found = live_.find(block);
    if (found == live_.end() || found->second != bytes) {
      ++strangers;
      return;
    }
    live_.erase(found);
    std::memset(block, 0xee, bytes);
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::map<void*, std::size_t> live_;
};

struct stamped {
  buffer_slice slice;
  std::byte stamp;
  bool is_whole() const {
    return std::all_of(slice.span().begin(), slice.span().end(), [&](std::byte each) { return each == stamp; });
  }
};

// What threads hand on to one another.
using table = std::vector<stamped>;
constexpr std::uint64_t keep_bytes = 2048;

std::optional<stamped> take_from(table& shared, std::mt19937_64& random) {
  if (shared.empty()) return std::nullopt;
  std::swap(shared[random() % shared.size()], shared.back());
  stamped one = std::move(shared.back());
  shared.pop_back();
  return one;
}

void fill_and_pass(buffer_pool& pool, table& shared, std::uint64_t me, std::uint64_t seed) {
  std::mt19937_64 random(seed * 8 + me);
  for (std::uint64_t round = 0; round < 6; ++round) {
    buffer_lease lease = pool.take(random() % 2 == 0 ? 500 : 1000);
    const auto stamp = static_cast<std::byte>(me << 4 | round);
    std::memset(lease.data(), static_cast<int>(stamp), lease.size());
    core::yield_point();
    if (random() % 4 == 0) lease = buffer_lease::adopt(lease.release());
    stamped whole{std::move(lease).share(400), stamp};
    if (random() % 2 == 0) shared.push_back({whole.slice.slice(random() % 100, 1 + random() % 300), stamp});
    if (random() % 2 == 0) shared.push_back({whole.slice.split_front(random() % 200), stamp});
    core::yield_point();
    ASSERT_TRUE(whole.is_whole()) << "seed " << seed;
    for (auto other = take_from(shared, random); other.has_value(); other.reset()) {
      core::yield_point();
      ASSERT_TRUE(other->is_whole()) << "seed " << seed;
    }
  }
}

void give_back_and_look(buffer_pool& pool, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 6; ++round) {
    switch (random() % 4) {
      case 0:
        pool.trim();
        break;
      case 1:
        pool.maintain();
        break;
      case 2:
        for (const pinned_buffers& one : pool.pinned()) {
          ASSERT_NE(one.buffers, 0u) << "seed " << seed;
          ASSERT_LE(one.pinned_bytes, one.held_bytes) << "seed " << seed;
        }
        break;
      default: {
        const buffer_pool_statistics now = pool.statistics();
        ASSERT_LE(now.kept_bytes, keep_bytes) << "seed " << seed;
        ASSERT_LE(now.used_buffers, 3u * 12) << "seed " << seed;
        ASSERT_LE(now.used_bytes + now.kept_bytes, now.held_bytes) << "seed " << seed;
      }
    }
  }
}

TEST(buffer_pool_systematic, no_buffer_is_in_two_hands_and_none_is_lost) {
  for (std::uint64_t seed = 0; seed < test::rounds(150u) && !HasFailure(); ++seed) {
    known_blocks upstream;
    {
      buffer_pool pool({.name = "steps",
                        .keep_bytes = keep_bytes,
                        .has_thread = false,
                        .checks = seed % 8 == 0 ? resource_checks::on : resource_checks::off,
                        .upstream = &upstream});
      table shared;
      systematic threads(seed);
      for (std::uint64_t number = 1; number <= 3; ++number) {
        threads.add([&, number, seed] { fill_and_pass(pool, shared, number, seed); });
      }
      threads.add([&, seed] { give_back_and_look(pool, seed); });
      threads.run();
      if (HasFailure()) break;
      shared.clear();
      pool.check();
      const buffer_pool_statistics figures = pool.statistics();
      ASSERT_EQ(figures.used_buffers, 0u) << "seed " << seed;
      ASSERT_EQ(figures.used_bytes, 0u) << "seed " << seed;
      ASSERT_EQ(figures.takes, 3u * 6) << "seed " << seed;
      ASSERT_EQ(figures.kept_bytes, upstream.bytes()) << "seed " << seed;
      ASSERT_LE(figures.kept_bytes, keep_bytes) << "seed " << seed;
      ASSERT_EQ(figures.made - figures.dropped - figures.decayed, upstream.blocks()) << "seed " << seed;
    }
    ASSERT_EQ(upstream.bytes(), 0u) << "seed " << seed;
    ASSERT_EQ(upstream.strangers, 0u) << "seed " << seed;
  }
}

// The limit, met by several at once: what is kept goes first, and who is refused leaves nothing behind.
TEST(buffer_pool_systematic, a_limit_that_several_meet_refuses_and_loses_nothing) {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(80u) && !HasFailure(); ++seed) {
    known_blocks upstream;
    {
      buffer_pool pool({.name = "narrow", .has_thread = false, .checks = resource_checks::off, .upstream = &upstream});
      const std::uint64_t own_bytes = [&] {
        static_cast<void>(pool.take(512));
        pool.trim();
        return pool.statistics().held_bytes;
      }();
      pool.set_limits({.hard_bytes = own_bytes + 3 * 1024});
      systematic threads(seed);
      for (std::uint64_t number = 0; number < 3; ++number) {
        threads.add([&, number, seed] {
          std::mt19937_64 random(seed * 8 + number);
          for (int round = 0; round < 5; ++round) {
            try {
              buffer_lease first = pool.take(512u << (random() % 2));
              core::yield_point();
              buffer_lease second = pool.take(512);
            } catch (const std::bad_alloc&) {
              ++refused;
            }
            ASSERT_LE(pool.statistics().held_bytes, own_bytes + 3 * 1024) << "seed " << seed;
          }
        });
      }
      threads.run();
      pool.check();
      ASSERT_EQ(pool.statistics().used_bytes, 0u) << "seed " << seed;
      ASSERT_EQ(pool.statistics().kept_bytes, upstream.bytes()) << "seed " << seed;
    }
    ASSERT_EQ(upstream.bytes() + upstream.strangers, 0u) << "seed " << seed;
  }
  EXPECT_GT(refused, 0u);
}

bool has_live(const buffer_pool& pool) {
  bool found = false;
  pool.for_each_live([&](const live_block&) { found = true; });
  return found;
}

// The end waits for a buffer that is on its way back, and the thread that brings it touches nothing afterwards.
TEST(buffer_pool_systematic, the_end_waits_for_what_is_on_its_way_back) {
  for (std::uint64_t seed = 0; seed < test::rounds(150u) && !HasFailure(); ++seed) {
    known_blocks upstream;
    auto pool = std::make_unique<buffer_pool>(buffer_pool_options{.keep_bytes = seed % 2 == 0 ? 0u : keep_bytes,
                                                                  .has_thread = false,
                                                                  .checks = resource_checks::off,
                                                                  .upstream = &upstream});
    int on_their_way = 0;
    systematic threads(seed);
    for (int number = 0; number < 2; ++number) {
      threads.add([&] {
        buffer_lease lease = pool->take(512);
        buffer_slice slice = std::move(lease).share(100);
        core::yield_point();
        ++on_their_way;
        slice.reset();
      });
    }
    threads.add([&] {
      // Its last reference may go at any step from here on.
      while (on_their_way != 2) core::yield_point();
      while (has_live(*pool)) core::yield_point();
      pool.reset();
      ASSERT_EQ(upstream.bytes(), 0u) << "seed " << seed;
    });
    threads.run();
    ASSERT_EQ(upstream.bytes() + upstream.strangers, 0u) << "seed " << seed;
  }
}

}  // namespace
