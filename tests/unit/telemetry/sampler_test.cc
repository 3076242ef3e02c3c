// The sampler against the exact laws it is to follow: each with a seed, and with bounds of five and a half standard
// deviations, so that a right sampler passes always and a wrong one does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/base/options.h"
#include "core/telemetry/sampling_math.h"
#include "core/telemetry/telemetry.h"

using namespace tenure;

namespace {

constexpr double deviations = 5.5;

telemetry::sample_clock seeded(std::uint64_t seed) {
  telemetry::sample_clock clock;
  clock.reset();
  clock.random_state = seed * 0x9e3779b97f4a7c15u | 1;
  for (int i = 0; i < 8; ++i) clock.next();
  return clock;
}

TEST(sampling_math, logarithm_is_that_of_the_c_library) {
  std::mt19937_64 random(1);
  const double unit = std::ldexp(1.0, -53);
  for (int i = 0; i < 200000; ++i) {
    const std::uint64_t numerator = std::max<std::uint64_t>(1, (random() >> 11) >> (random() % 53));
    const double exact = -std::log(static_cast<double>(numerator) * unit);
    ASSERT_NEAR(telemetry::negative_log_of_fraction(numerator), exact, 1e-12 * (1 + exact)) << numerator;
  }
  EXPECT_EQ(telemetry::negative_log_of_fraction(std::uint64_t{1} << 53), 0.0);
  EXPECT_NEAR(telemetry::negative_log_of_fraction(1), 53 * std::log(2.0), 1e-12);
}

TEST(sampling_math, complement_of_the_exponential_is_that_of_the_c_library) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 200000; ++i) {
    const double x = std::exp(std::uniform_real_distribution<double>(-25, 4)(random));
    ASSERT_NEAR(telemetry::one_minus_exp(x) / -std::expm1(-x), 1.0, 1e-12) << x;
  }
  EXPECT_EQ(telemetry::one_minus_exp(0), 0);
  EXPECT_EQ(telemetry::one_minus_exp(1000), 1);
}

// Kolmogorov and Smirnov's distance between the drawn and the exact distribution.
TEST(sampler, distances_follow_the_exponential_distribution) {
  for (const std::uint64_t interval : {4096u, 65536u, 524288u, 16777216u}) {
    telemetry::set_sample_interval_bytes(interval);
    telemetry::sample_clock clock = seeded(interval);
    std::vector<double> distances;
    for (int i = 0; i < 200000; ++i) {
      clock.next();
      ASSERT_EQ(clock.interval_bytes, interval);
      ASSERT_GT(clock.bytes_until_sample, 0);
      distances.push_back(static_cast<double>(clock.bytes_until_sample));
    }
    std::sort(distances.begin(), distances.end());
    double furthest = 0;
    const auto n = static_cast<double>(distances.size());
    for (std::size_t i = 0; i < distances.size(); ++i) {
      const double exact = -std::expm1(-distances[i] / static_cast<double>(interval));
      furthest = std::max(furthest, std::abs(exact - (static_cast<double>(i) + 0.5) / n));
    }
    // Whole bytes make steps of up to 1/interval in the distribution.
    EXPECT_LT(furthest, 2.2 / std::sqrt(n) + 1.0 / static_cast<double>(interval)) << interval;
  }
}

struct estimate {
  double sampled = 0, blocks = 0, bytes = 0;
};

// The heap's part: counts down, samples the block that brings the count to zero or below.
estimate run(telemetry::sample_clock& clock, std::uint64_t size, int count) {
  estimate sum;
  for (int i = 0; i < count; ++i) {
    clock.bytes_until_sample -= static_cast<std::int64_t>(size);
    if (clock.bytes_until_sample > 0) continue;
    const double p = -std::expm1(-static_cast<double>(size) / static_cast<double>(clock.interval_bytes));
    sum.sampled += 1;
    sum.blocks += 1 / p;
    sum.bytes += static_cast<double>(telemetry::sample_weight_bytes(size, size, clock.interval_bytes));
    clock.next();
  }
  return sum;
}

TEST(sampler, is_unbiased_for_every_size_and_interval) {
  for (const std::uint64_t interval : {4096u, 65536u, 524288u, 2097152u}) {
    telemetry::set_sample_interval_bytes(interval);
    for (std::uint64_t size = 16; size <= 8 * 1024 * 1024; size *= 8) {
      telemetry::sample_clock clock = seeded(size * 31 + interval);
      const int count = size < 1024 ? 4000000 : 400000;
      const estimate sum = run(clock, size, count);
      const double p = -std::expm1(-static_cast<double>(size) / static_cast<double>(interval));
      const double sigma = std::sqrt(count * p * (1 - p)) + 1;
      EXPECT_NEAR(sum.sampled, count * p, deviations * sigma) << size << " every " << interval;
      EXPECT_NEAR(sum.blocks, count, deviations * sigma / p) << size << " every " << interval;
      EXPECT_NEAR(sum.bytes, static_cast<double>(size) * count,
                  (deviations * sigma / p + 1) * static_cast<double>(size) + sum.sampled)
          << size << " every " << interval;
    }
  }
}

// Small and large blocks in turn: neither takes the other's share.
TEST(sampler, is_unbiased_for_mixed_sizes) {
  constexpr std::uint64_t interval = 65536;
  telemetry::set_sample_interval_bytes(interval);
  telemetry::sample_clock clock = seeded(99);
  const std::uint64_t sizes[] = {16, 100000, 48, 4096, 2000000, 304};
  double sampled[6] = {};
  constexpr int rounds = 400000;
  for (int i = 0; i < rounds * 6; ++i) {
    clock.bytes_until_sample -= static_cast<std::int64_t>(sizes[i % 6]);
    if (clock.bytes_until_sample > 0) continue;
    sampled[i % 6] += 1;
    clock.next();
  }
  for (int k = 0; k < 6; ++k) {
    const double p = -std::expm1(-static_cast<double>(sizes[k]) / interval);
    EXPECT_NEAR(sampled[k], rounds * p, deviations * std::sqrt(rounds * p * (1 - p)) + 1) << sizes[k];
  }
}

TEST(sampler, threads_that_start_together_do_not_draw_the_same) {
  telemetry::set_sample_interval_bytes(524288);
  std::vector<telemetry::sample_clock> clocks(200);
  std::vector<std::int64_t> first;
  for (telemetry::sample_clock& clock : clocks) {
    clock.reset();
    first.push_back(clock.bytes_until_sample);
  }
  std::sort(first.begin(), first.end());
  EXPECT_GT(std::unique(first.begin(), first.end()) - first.begin(), 190);
}

TEST(sampler, takes_intervals_within_bounds_and_zero_as_off) {
  telemetry::set_sample_interval_bytes(1);
  EXPECT_EQ(telemetry::sample_interval_bytes(), 4096u);
  telemetry::set_sample_interval_bytes(~0ull);
  EXPECT_EQ(telemetry::sample_interval_bytes(), std::uint64_t{1} << 40);
  telemetry::set_sample_interval_bytes(0);
  EXPECT_EQ(telemetry::sample_interval_bytes(), 0u);
  telemetry::sample_clock clock;
  clock.reset();
  EXPECT_EQ(clock.interval_bytes, 0u);
  EXPECT_GT(clock.bytes_until_sample, 0);
  telemetry::set_sample_interval_bytes(8192);
  clock.next();
  EXPECT_EQ(clock.interval_bytes, 8192u);
}

TEST(sampler, starts_with_the_option) {
  ASSERT_TRUE(core::set_value(core::option::sample_interval, 123456));
  telemetry::start();
  EXPECT_EQ(telemetry::sample_interval_bytes(), 123456u);
}

}  // namespace
