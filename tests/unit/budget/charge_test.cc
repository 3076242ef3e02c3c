// Charges against a plain model of sums and limits; threads that charge at once stay within the limit at every moment.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "core/base/options.h"
#include "core/budget/charge.h"

using namespace tenure;
using budget::account;
using budget::outcome;

namespace {

TEST(charge, is_the_sum_of_all_below_at_every_level) {
  account* top = budget::open("top", "application", nullptr);
  std::array<account*, 4> all{top, budget::open("left", "heap", top), budget::open("right", "heap", top), nullptr};
  all[3] = budget::open("deep", "heap", all[1]);
  const std::array<std::vector<std::size_t>, 4> chain{{{0}, {1, 0}, {2, 0}, {3, 1, 0}}};
  const std::array<std::uint64_t, 4> limit{100'000, 60'000, wire::no_limit, 30'000};
  for (std::size_t i = 0; i < all.size(); ++i) budget::set_limits(all[i], wire::no_limit, limit[i]);

  std::mt19937_64 dice(7);
  std::array<std::uint64_t, 4> own{}, held{}, peak{};
  std::size_t refusals = 0;
  for (int step = 0; step < 200'000; ++step) {
    const std::size_t which = dice() % 4;
    const std::uint64_t bytes = dice() % 4000;
    if (dice() % 2 == 0) {
      bool fits = true;
      for (std::size_t at : chain[which]) fits = fits && held[at] + bytes <= limit[at];
      ASSERT_EQ(budget::try_charge(all[which], bytes, 0) != outcome::refused, fits);
      refusals += fits ? 0 : 1;
      if (fits) {
        own[which] += bytes;
        for (std::size_t at : chain[which]) peak[at] = std::max(peak[at], held[at] += bytes);
      }
    } else if (own[which] >= bytes) {
      budget::release(all[which], bytes, 0);
      own[which] -= bytes;
      for (std::size_t at : chain[which]) held[at] -= bytes;
    }
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i]->held_bytes, held[i]);
  }
  EXPECT_GT(refusals, 1000u);
  // A refusal from above takes back what was charged below, so a peak below may have seen it; above it is exact.
  EXPECT_EQ(top->peak_held_bytes, peak[0]);
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i]->peak_held_bytes, peak[i]);
  for (std::size_t i = all.size(); i-- != 0;) EXPECT_TRUE(budget::close(all[i]));
}

TEST(charge, counts_blocks_beside_bytes) {
  account* one = budget::open("blocks", "pool", nullptr);
  EXPECT_TRUE(budget::charge(one, 100, 3));
  EXPECT_TRUE(budget::charge(one, 0, 1));
  EXPECT_EQ(one->held_blocks, 4u);
  budget::release(one, 40, 2);
  EXPECT_EQ(one->held_blocks, 2u);
  EXPECT_EQ(one->held_bytes, 60u);
  EXPECT_TRUE(budget::close(one));
}

TEST(charge, tells_the_charge_that_passes_the_soft_limit_and_no_other) {
  account* one = budget::open("soft", "cache", nullptr);
  budget::set_limits(one, 1000, wire::no_limit);
  EXPECT_EQ(budget::try_charge(one, 1000, 0), outcome::done);
  EXPECT_EQ(budget::try_charge(one, 1, 0), outcome::done_over_soft_limit);
  EXPECT_EQ(budget::try_charge(one, 1, 0), outcome::done);
  budget::release(one, 2, 0);
  EXPECT_EQ(budget::try_charge(one, 5, 0), outcome::done_over_soft_limit);
  EXPECT_TRUE(budget::close(one));
}

TEST(charge, does_not_wrap_at_the_end_of_numbers) {
  account* one = budget::open("huge", "heap", nullptr);
  EXPECT_TRUE(budget::charge(one, 100, 0));
  EXPECT_FALSE(budget::charge(one, ~0ull - 50, 0));
  EXPECT_EQ(one->held_bytes, 100u);
  EXPECT_EQ(one->refusals, 1u);
  // A limit below what is held refuses and takes nothing away.
  budget::set_limits(one, wire::no_limit, 10);
  EXPECT_FALSE(budget::charge(one, 1, 0));
  EXPECT_FALSE(budget::charge(one, 0, 0));
  EXPECT_EQ(one->held_bytes, 100u);
  budget::release(one, 100, 0);
  EXPECT_TRUE(budget::close(one));
}

TEST(charge, says_who_gave_back_too_much) {
  account* one = budget::open("twice", "pool", nullptr);
  EXPECT_TRUE(budget::charge(one, 64, 1));
  budget::release(one, 64, 1);
  EXPECT_DEATH(budget::release(one, 64, 0), "the pool account \"twice\" was given back 64 bytes and holds only 0");
  core::set_value(core::option::abort_on_misuse, 0);
  budget::release(one, 64, 0);
  core::set_value(core::option::abort_on_misuse, 1);
  EXPECT_EQ(one->held_bytes, 0u);
  EXPECT_TRUE(budget::close(one));
}

TEST(charge, keeps_the_limit_against_many_threads_at_every_moment) {
  constexpr std::uint64_t limit_bytes = 10'000;
  constexpr int threads = 4;
  account* top = budget::open("shared", "application", nullptr);
  budget::set_limits(top, wire::no_limit, limit_bytes);
  std::array<account*, threads> own;
  for (account*& one : own) one = budget::open("worker", "heap", top);
  std::atomic<int> left = threads;
  std::atomic<std::uint64_t> refused = 0;
  std::vector<std::thread> all;
  for (int number = 0; number < threads; ++number) {
    all.emplace_back([&, number] {
      std::mt19937_64 dice(number);
      std::uint64_t mine = 0;
      for (int step = 0; step < 60'000; ++step) {
        const std::uint64_t bytes = dice() % 2000;
        if (dice() % 3 != 0) {
          if (budget::try_charge(own[number], bytes, 1) != outcome::refused) {
            mine += bytes;
          } else {
            ++refused;
          }
        } else if (mine >= bytes) {
          budget::release(own[number], bytes, 1);
          mine -= bytes;
        }
        ASSERT_EQ(__atomic_load_n(&own[number]->held_bytes, __ATOMIC_RELAXED), mine);
      }
      budget::release(own[number], mine, 0);
      --left;
    });
  }
  while (left != 0) ASSERT_LE(__atomic_load_n(&top->held_bytes, __ATOMIC_RELAXED), limit_bytes);
  for (std::thread& one : all) one.join();
  EXPECT_EQ(top->held_bytes, 0u);
  EXPECT_LE(top->peak_held_bytes, limit_bytes);
  EXPECT_GT(refused, 0u);
  for (account* one : own) EXPECT_TRUE(budget::close(one));
  EXPECT_TRUE(budget::close(top));
}

}  // namespace
