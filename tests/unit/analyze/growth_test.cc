// Slopes held against all pairs counted out, courses that end and that do not, windows against the values themselves.
#include "instruments/analyze/growth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using test::dice;
using values = std::vector<std::uint64_t>;

template <class Course>
values course(std::size_t count, Course&& at) {
  values result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<std::uint64_t>(at(i)));
  return result;
}

TEST(Slope, OfALineIsItsOwn) {
  const auto found = slope_of(course(40, [](std::size_t i) { return 1000 + 7 * i; }));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->value, 7);
  EXPECT_EQ(found->low, 7);
  EXPECT_EQ(found->high, 7);
  EXPECT_FALSE(slope_of(course(7, [](std::size_t i) { return i; })));
}

TEST(Slope, IsNotBentByABurst) {
  const auto found =
      slope_of(course(60, [](std::size_t i) { return 1000 + 7 * i + (i > 20 && i < 27 ? 100'000u : 0u); }));
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->value, 7, 1);
}

// Of series without a slope, hardly one in a hundred may seem to have one.
TEST(Slope, OfNoiseIsSeldomAboveNothing) {
  dice thrown(3);
  int above = 0;
  constexpr int rounds = 1000;
  for (int round = 0; round < rounds; ++round) {
    const auto found = slope_of(course(24, [&](std::size_t) { return 1'000'000 + thrown.below(1000); }));
    ASSERT_TRUE(found);
    EXPECT_LE(found->low, found->value);
    EXPECT_LE(found->value, found->high);
    above += found->low > 0 ? 1 : 0;
  }
  EXPECT_LE(above, rounds / 50);
}

TEST(UnendingGrowth, IsThatWhichGoesOn) {
  dice thrown(4);
  const auto noise = [&] { return thrown.below(50); };
  EXPECT_TRUE(unending_growth(course(100, [](std::size_t i) { return 64 * i; })));
  EXPECT_TRUE(unending_growth(course(100, [&](std::size_t i) { return 64 * i + noise(); })));
  EXPECT_TRUE(unending_growth(course(100, [](std::size_t i) { return i * i; })));
  EXPECT_TRUE(unending_growth(course(100, [](std::size_t i) { return 1000 * std::sqrt(static_cast<double>(i)); })));
  EXPECT_FALSE(unending_growth(course(100, [](std::size_t) { return 5000; })));
  EXPECT_FALSE(unending_growth(course(100, [&](std::size_t) { return 5000 + noise(); })));
  EXPECT_FALSE(unending_growth(course(100, [](std::size_t i) { return 64 * std::min<std::size_t>(i, 20); })));
  EXPECT_FALSE(unending_growth(course(100, [](std::size_t i) { return 64 * std::min<std::size_t>(i, 74); })));
  EXPECT_FALSE(unending_growth(course(100, [](std::size_t i) { return 64 * (i % 10); })));
  EXPECT_FALSE(unending_growth(course(100, [](std::size_t i) { return 64 * (100 - i); })));
  EXPECT_FALSE(unending_growth(course(20, [](std::size_t i) { return 64 * i; })));  // too few to say
  EXPECT_FALSE(unending_growth({}));
}

TEST(WindowSeries, HoldsTheValueAtTheEndOfEachWindow) {
  for (std::uint32_t seed = 1; seed <= 50; ++seed) {
    dice thrown(seed);
    window_series series;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> told;  // position, value from there on
    std::uint64_t position = 0, value = 0;
    for (int i = 0; i < 2000; ++i) {
      position += thrown.below(1u << thrown.below(18));
      const std::uint64_t change = thrown.below(1000);
      series.advance(position);
      if (thrown.one_in(2)) {
        series.add(change);
        value += change;
      } else {
        series.subtract(change);
        value -= std::min(value, change);
      }
      told.emplace_back(position, value);
    }
    EXPECT_EQ(series.value(), value);
    ASSERT_LE(series.ends().size(), window_series::most_windows);
    ASSERT_EQ(series.ends().size(), position / series.width());
    if (position >= 1024 * window_series::most_windows) {
      EXPECT_GE(series.ends().size(), window_series::most_windows / 2);
    }
    for (std::size_t i = 0; i < series.ends().size(); ++i) {
      const std::uint64_t end = (i + 1) * series.width();
      const auto after = std::lower_bound(told.begin(), told.end(), std::pair{end, std::uint64_t{0}});
      EXPECT_EQ(series.ends()[i], after == told.begin() ? 0 : std::prev(after)->second) << seed << " " << i;
    }
  }
}

// Of a function's stacks the first one that was seen may be no part of it.
TEST(FindGrowth, NamesTheStackThatHoldsMostOfWhatStays) {
  collect::process_record process = test::made_process();
  process.stacks.push_back({{0, 1}, {}});  // the function of stack 0, called by nobody that is known
  std::vector<test::made_block> blocks;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t begin_ns = (i + 1) * 100 * record::event_time_unit_ns;
    const bool stays = i % 2 == 1;
    blocks.push_back({.bytes = 512,
                      .stack = stays ? 4u : 0u,
                      .from_ns = begin_ns,
                      .to_ns = stays || i == 0 ? ~0ull : begin_ns + 10 * record::event_time_unit_ns});
  }
  const test::made_file file;
  test::write_recording(file.path(), blocks, process, 200'000 * record::event_time_unit_ns);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer;
  const auto processes = find_growth(*reader, symbolizer, {});
  ASSERT_EQ(processes.size(), 1u);
  ASSERT_EQ(processes[0].suspects.size(), 1u);
  const growing_site& found = processes[0].suspects[0];
  EXPECT_EQ(found.function, "app+0x10");
  EXPECT_EQ(found.stack, 4u);
  EXPECT_EQ(found.chain.size(), 1u);
  EXPECT_EQ(found.live_blocks, 501u);
}

}  // namespace
}  // namespace tenure::analyze
