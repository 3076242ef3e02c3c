// Weights, replay and lifetimes against figures worked out by other means.
#include "instruments/analyze/aggregate.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "instruments/analyze/lifetime.h"

namespace tenure::analyze {
namespace {

using collect::sample;

sample make_sample(std::uint64_t time_ns, std::uint64_t bytes, std::uint64_t free_time_ns = collect::never) {
  sample one;
  one.time_ns = time_ns;
  one.requested_bytes = bytes;
  one.usable_bytes = bytes;
  one.interval_bytes = 0;  // each block for itself
  one.free_time_ns = free_time_ns;
  one.stack = 0;
  one.thread = one.free_thread = 0;
  return one;
}

TEST(Weight, IsTheInverseOfTheProbability) {
  sample one = make_sample(0, 1000);
  one.usable_bytes = 1024;
  one.interval_bytes = 512 * 1024;
  const amount weight = weight_of(one);
  const double probability = 1 - std::exp(-1024.0 / (512 * 1024));
  EXPECT_NEAR(weight.blocks.value, 1 / probability, 1e-6);
  EXPECT_NEAR(weight.bytes.value, 1000 / probability, 1e-3);
  EXPECT_NEAR(weight.usable_bytes.value, 1024 / probability, 1e-3);
  EXPECT_NEAR(weight.bytes.variance, (1 - probability) / (probability * probability) * 1e6, 1);
}

TEST(Weight, OfABlockFarAboveTheIntervalIsOne) {
  sample one = make_sample(0, 100 << 20);
  one.interval_bytes = 512 * 1024;
  EXPECT_NEAR(weight_of(one).blocks.value, 1, 1e-9);
  EXPECT_NEAR(weight_of(one).bytes.variance, 0, 1);
}

// A population that is known in full, sampled as the heap samples it: the estimates scatter about the truth, and by as
// much as their own standard error says.
TEST(Weight, IsUnbiasedAndKnowsItsError) {
  std::mt19937_64 random(3);
  constexpr double interval = 64 * 1024;
  const std::array<std::uint64_t, 5> sizes = {48, 512, 4096, 65536, 300000};
  const std::array<int, 5> counts = {20000, 4000, 800, 60, 10};
  double truth = 0;
  for (std::size_t kind = 0; kind < sizes.size(); ++kind) truth += static_cast<double>(sizes[kind]) * counts[kind];
  constexpr int rounds = 200;
  double sum = 0, squares = 0, told_variance = 0;
  std::uniform_real_distribution<double> uniform;
  for (int round = 0; round < rounds; ++round) {
    amount total;
    for (std::size_t kind = 0; kind < sizes.size(); ++kind)
      for (int block = 0; block < counts[kind]; ++block) {
        if (uniform(random) >= 1 - std::exp(-static_cast<double>(sizes[kind]) / interval)) continue;
        sample one = make_sample(0, sizes[kind]);
        one.interval_bytes = static_cast<std::uint64_t>(interval);
        total += weight_of(one);
      }
    sum += total.bytes.value;
    squares += (total.bytes.value - truth) * (total.bytes.value - truth);
    told_variance += total.bytes.variance;
  }
  const double scatter = std::sqrt(squares / rounds);
  EXPECT_NEAR(sum / rounds, truth, 4 * scatter / std::sqrt(rounds));
  EXPECT_NEAR(std::sqrt(told_variance / rounds) / scatter, 1, 0.2);
}

TEST(Replay, FindsThePeakAndWhatIsLiveThen) {
  // 10 lives 0..40, 20 lives 10..20, 30 lives 15..35, 5 lives 36..: the peak is 60 at 15.
  const std::vector<sample> samples = {make_sample(0, 10, 40), make_sample(10, 20, 20), make_sample(15, 30, 35),
                                       make_sample(36, 5)};
  const replay course = replay_samples(samples);
  EXPECT_DOUBLE_EQ(course.peak_bytes, 60);
  EXPECT_EQ(course.peak_time_ns, 15u);
  EXPECT_EQ(course.live_at_peak, (std::vector<bool>{true, true, true, false}));
  EXPECT_DOUBLE_EQ(live_bytes_at(course, 9), 10);
  EXPECT_DOUBLE_EQ(live_bytes_at(course, 25), 40);
  EXPECT_DOUBLE_EQ(live_bytes_at(course, 1000), 5);
  EXPECT_DOUBLE_EQ(live_amount_at(samples, 25).bytes.value, 40);
}

// Against the definition: the greatest over all moments of the sum over all blocks.
TEST(Replay, AgreesWithTheDefinition) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<sample> samples;
    for (int index = 0; index < 60; ++index) {
      const std::uint64_t begin = random() % 1000;
      samples.push_back(
          make_sample(begin, 1 + random() % 100, random() % 4 == 0 ? collect::never : begin + 1 + random() % 300));
    }
    double greatest = 0;
    for (std::uint64_t moment = 0; moment < 1400; ++moment) {
      double live = 0;
      // An allocation counts before a free of the same moment.
      for (const sample& one : samples)
        if (one.time_ns <= moment && one.free_time_ns >= moment) live += static_cast<double>(one.requested_bytes);
      greatest = std::max(greatest, live);
    }
    const replay course = replay_samples(samples);
    EXPECT_DOUBLE_EQ(course.peak_bytes, greatest);
    double at_peak = 0;
    for (std::size_t index = 0; index < samples.size(); ++index)
      if (course.live_at_peak[index]) at_peak += static_cast<double>(samples[index].requested_bytes);
    EXPECT_DOUBLE_EQ(at_peak, greatest);
  }
}

TEST(Aggregate, SumsToTheWhole) {
  std::mt19937_64 random(9);
  std::vector<sample> samples;
  for (int index = 0; index < 500; ++index) {
    sample one = make_sample(random() % 1000, 1 + random() % 5000);
    one.interval_bytes = 4096;
    one.stack = static_cast<std::uint32_t>(random() % 7);
    if (random() % 2 == 0) one.free_time_ns = one.time_ns + random() % 500;
    samples.push_back(one);
  }
  const replay course = replay_samples(samples);
  const auto whole = aggregate(samples, course, 2000, 1, [](std::size_t) { return 0u; });
  const auto parts = aggregate(samples, course, 2000, 7, [&](std::size_t index) { return samples[index].stack; });
  amount allocated, at_peak, at_exit;
  for (const call_site& site : parts) {
    allocated += site.allocated;
    at_peak += site.live_at_peak;
    at_exit += site.live_at_exit;
    EXPECT_NEAR(site.lifetimes.freed.bytes.value + site.lifetimes.never_freed.bytes.value, site.allocated.bytes.value,
                1e-3);
  }
  EXPECT_NEAR(allocated.bytes.value, whole[0].allocated.bytes.value, 1e-3);
  EXPECT_NEAR(at_peak.bytes.value, course.peak_bytes, 1e-3);
  EXPECT_NEAR(at_exit.bytes.value, whole[0].live_at_exit.bytes.value, 1e-3);
  EXPECT_NEAR(allocated.bytes.variance, whole[0].allocated.bytes.variance, 1);
}

TEST(Lifetime, CensoredLivesAreNotDeaths) {
  // The textbook case (Kaplan and Meier): deaths at 1, 3, 5; alive when last seen at 2 and 4.
  std::vector<observed_life> lives = {{1, 1, true}, {2, 1, false}, {3, 1, true}, {4, 1, false}, {5, 1, true}};
  // S: 0.8 after 1, 0.8 * 2/3 = 0.533 after 3, 0 after 5.
  const std::array fractions = {0.2, 0.3, 0.46, 0.47, 0.9};
  const auto quantiles = life_quantiles(lives, fractions);
  EXPECT_EQ(quantiles[0], 1u);
  EXPECT_EQ(quantiles[1], 3u);
  EXPECT_EQ(quantiles[2], 3u);
  EXPECT_EQ(quantiles[3], 5u);
  EXPECT_EQ(quantiles[4], 5u);
}

TEST(Lifetime, SaysNothingBeyondTheCurve) {
  std::vector<observed_life> lives = {{1, 1, true}, {10, 3, false}};
  const std::array fractions = {0.25, 0.5};
  const auto quantiles = life_quantiles(lives, fractions);
  EXPECT_EQ(quantiles[0], 1u);
  EXPECT_EQ(quantiles[1], std::nullopt);
}

TEST(Lifetime, TellsWhoFrees) {
  std::vector<sample> samples = {make_sample(0, 100, 10), make_sample(0, 300, 2000), make_sample(0, 50)};
  samples[0].free_stack = 4;
  samples[1].free_stack = 5;
  samples[1].free_thread = 1;
  const std::vector<std::uint32_t> members = {0, 1, 2};
  const lifetime_summary summary = summarize_lifetimes(samples, members, 5000);
  EXPECT_DOUBLE_EQ(summary.freed_by_other_thread_bytes, 300);
  ASSERT_EQ(summary.freed_by.size(), 2u);
  EXPECT_EQ(summary.freed_by[0].stack, 5u);
  EXPECT_DOUBLE_EQ(summary.freed_by[0].bytes, 300);
  EXPECT_EQ(summary.freed_by[1].stack, 4u);
  EXPECT_DOUBLE_EQ(summary.never_freed.bytes.value, 50);
  EXPECT_DOUBLE_EQ(summary.freed_bytes_by_log2_ns[3], 100);   // 10 is in [8, 16)
  EXPECT_DOUBLE_EQ(summary.freed_bytes_by_log2_ns[10], 300);  // 2000 is in [1024, 2048)
  EXPECT_EQ(summary.median_ns, 2000u);
}

}  // namespace
}  // namespace tenure::analyze
