// Limits held against figures by hand, and against thrown figures by their definition.
#include "instruments/analyze/gates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using thrown_run = std::map<std::vector<std::string>, std::uint64_t>;

run_figures gated_run(const thrown_run& from) {
  run_figures result;
  for (const auto& [frames, bytes] : from) {
    site_figures& one = result.by_site[frames];
    one.frames = frames;
    one.at_moment = {1, bytes};
    one.allocated = {bytes / 10, bytes * 2};
    one.left = {1, bytes / 2};
    result.totals += one;
  }
  return result;
}

difference compared(const thrown_run& before, const thrown_run& after) {
  return compare(std::array{gated_run(before)}, std::array{gated_run(after)}, measure::held_bytes);
}

gate most(std::uint64_t amount, const char* name = "", measure of = measure::held_bytes) {
  return {of, name, false, {false, 0, amount}};
}

gate growth(double share, std::uint64_t amount, const char* name = "") {
  return {measure::held_bytes, name, false, {true, share, amount}};
}

const thrown_run old_run = {{{"a", "main"}, 1000}, {{"a", "work"}, 500}, {{"b", "main"}, 100}};
const thrown_run new_run = {{{"a", "main"}, 1100}, {{"a", "work"}, 500}, {{"b", "main"}, 90}, {{"c", "main"}, 5}};

TEST(Gates, AFigureMayBeAsGreatAsItsLimit) {
  const difference both = compared(old_run, new_run);
  EXPECT_TRUE(judge(most(1695), both, 5).is_kept());
  const verdict broken = judge(most(1694), both, 5);
  ASSERT_EQ(broken.too_much.size(), 1u);
  EXPECT_EQ(broken.judged, 1u);
  EXPECT_EQ(broken.too_much[0].measured, 1695);
  EXPECT_EQ(broken.too_much[0].allowed, 1694);
  EXPECT_EQ(broken.too_much[0].over(), 1);
  EXPECT_TRUE(judge(most(3390, "", measure::allocated_bytes), both, 5).is_kept());
  EXPECT_FALSE(judge(most(3389, "", measure::allocated_bytes), both, 5).is_kept());
  EXPECT_FALSE(judge(most(168, "", measure::allocated_blocks), both, 5).is_kept());
  EXPECT_TRUE(judge(most(169, "", measure::allocated_blocks), both, 5).is_kept());
  EXPECT_TRUE(judge(most(847, "", measure::left_bytes), both, 5).is_kept());
  EXPECT_FALSE(judge(most(846, "", measure::left_bytes), both, 5).is_kept());
}

TEST(Gates, TheSitesBehindAreThoseThatHaveMostOrGrewMost) {
  const difference both = compared(old_run, new_run);
  const verdict broken = judge(most(0), both, 2);
  ASSERT_EQ(broken.too_much[0].sites.size(), 2u);
  EXPECT_EQ(broken.too_much[0].sites[0]->frames, (std::vector<std::string>{"a", "main"}));
  EXPECT_EQ(broken.too_much[0].sites[1]->frames, (std::vector<std::string>{"a", "work"}));
  const verdict grown = judge(growth(0.05, 0), both, 5);
  ASSERT_EQ(grown.too_much.size(), 1u);
  EXPECT_EQ(grown.too_much[0].before, 1600);
  EXPECT_EQ(grown.too_much[0].allowed, 1680);
  ASSERT_EQ(grown.too_much[0].sites.size(), 2u);  // what shrank or stayed accounts for nothing
  EXPECT_EQ(grown.too_much[0].sites[0]->frames[0], "a");
  EXPECT_EQ(grown.too_much[0].sites[1]->frames[0], "c");
}

TEST(Gates, ANameIsOfEachFunctionByItself) {
  const difference both = compared(old_run, new_run);
  const verdict all = judge(most(80, "*"), both, 5);
  EXPECT_EQ(all.judged, 3u);
  ASSERT_EQ(all.too_much.size(), 2u);
  EXPECT_EQ(all.too_much[0].site->frames, std::vector<std::string>{"a"});
  EXPECT_EQ(all.too_much[0].measured, 1600);
  EXPECT_EQ(all.too_much[0].sites.size(), 2u);
  EXPECT_EQ(all.too_much[1].site->frames, std::vector<std::string>{"b"});
  const verdict kept = judge(most(2000, "*"), both, 5);
  EXPECT_TRUE(kept.is_kept());
  EXPECT_EQ(kept.worst.site->frames, std::vector<std::string>{"a"});
  const verdict none = judge(most(0, "none"), both, 5);
  EXPECT_TRUE(none.is_kept());
  EXPECT_EQ(none.judged, 0u);
  // What is new had nothing before; what is gone grows no more.
  EXPECT_FALSE(judge(growth(0.5, 4, "c"), both, 5).is_kept());
  EXPECT_TRUE(judge(growth(0.5, 5, "c"), both, 5).is_kept());
  EXPECT_TRUE(judge(growth(0, 0, "b"), both, 5).is_kept());
}

TEST(Gates, ACallSiteIsJudgedByItself) {
  gate one = most(600, "*");
  one.takes_sites = true;
  const difference both = compared(old_run, new_run);
  const verdict told = judge(one, both, 5);
  EXPECT_EQ(told.judged, 4u);
  ASSERT_EQ(told.too_much.size(), 1u);
  EXPECT_EQ(told.too_much[0].site->frames, (std::vector<std::string>{"a", "main"}));
}

TEST(Gates, WhatBaselinesDifferByIsAllowedToo) {
  const std::array before = {gated_run({{{"a"}, 1000}}), gated_run({{{"a"}, 1100}}), gated_run({{{"a"}, 900}})};
  for (const auto& [bytes, is_kept] : {std::pair{1250, true}, {1251, false}}) {
    const std::array after = {gated_run({{{"a"}, static_cast<std::uint64_t>(bytes)}})};
    EXPECT_EQ(judge(growth(0.05, 0), compare(before, after, measure::held_bytes), 5).is_kept(), is_kept) << bytes;
  }
}

TEST(Gates, SharesAreThoseOfWholeNumbers) {
  // Exactly five in a hundred more, whatever binary fractions make of it.
  for (std::uint64_t before = 20; before < 4'000'000; before = before * 3 + 20) {
    const thrown_run old_one = {{{"a"}, before - before % 20}};
    const std::uint64_t allowed = (before - before % 20) / 20 * 21;
    EXPECT_TRUE(judge(growth(0.05, 0), compared(old_one, {{{"a"}, allowed}}), 5).is_kept()) << before;
    EXPECT_FALSE(judge(growth(0.05, 0), compared(old_one, {{{"a"}, allowed + 1}}), 5).is_kept()) << before;
  }
}

TEST(Gates, ThrownFiguresAreJudgedByDefinition) {
  test::dice thrown(11);
  const auto throw_run = [&] {
    thrown_run result;
    for (const char* function : {"a", "b", "c", "ab"})
      for (const char* caller : {"main", "work"})
        if (!thrown.one_in(4)) result[{function, caller}] = thrown.below(10'000);
    return result;
  };
  for (int round = 0; round < 500; ++round) {
    const thrown_run before = throw_run(), after = throw_run();
    const difference both = compared(before, after);
    const double share = static_cast<double>(thrown.below(100)) / 100;
    const std::uint64_t amount = thrown.below(3000);
    const gate one = thrown.one_in(2) ? growth(share, amount, "a") : most(amount * 4, "a");
    std::size_t judged = 0, broken = 0;
    for (const char* function : {"a", "ab"}) {
      std::uint64_t was = 0, is = 0;
      bool is_there = false;
      for (const auto& [side, sum] : {std::pair{&before, &was}, {&after, &is}})
        for (const auto& [frames, bytes] : *side)
          if (frames[0] == function) {
            *sum += bytes;
            is_there = true;
          }
      judged += is_there;
      const auto hundredths = static_cast<std::uint64_t>(std::llround(share * 100));
      const std::uint64_t allowed = one.limit.is_growth ? was + was * hundredths / 100 + amount : amount * 4;
      broken += is > allowed;
    }
    const verdict told = judge(one, both, 5);
    EXPECT_EQ(told.judged, judged);
    EXPECT_EQ(told.too_much.size(), broken);
    EXPECT_TRUE(std::is_sorted(told.too_much.begin(), told.too_much.end(),
                               [](const auto& left, const auto& right) { return left.over() > right.over(); }));
  }
}

// Of several processes the peak is that of one, and what is never freed is without what was suppressed.
TEST(Gates, FiguresOfAReportAreThoseThatAreAskedFor) {
  exact_report report;
  report.is_complete = true;
  for (const std::uint64_t bytes : {100, 300, 200}) {
    exact_process process;
    process.is_complete = true;
    process.profile.record = test::made_process();
    process.profile.frames.resize(6);
    process.peak = {1, bytes};
    exact_site site;
    site.stack = 2;
    site.allocated = site.at_moment = site.at_end = {1, bytes};
    process.sites = {site};
    report.processes.push_back(std::move(process));
  }
  symbols::symbolizer symbolizer;
  suppressions suppressed;
  const run_figures one = figures_of(report, symbolizer, {.peak_of_one = true, .suppressed = &suppressed});
  EXPECT_EQ(one.peak, (exact_amount{1, 300}));
  EXPECT_EQ(one.totals.at_moment, (exact_amount{1, 300}));
  EXPECT_EQ(one.totals.left, (exact_amount{3, 600}));
  EXPECT_EQ(one.totals.allocated, (exact_amount{3, 600}));
  EXPECT_EQ(one.process_count, 3u);
  EXPECT_FALSE(one.is_shortened);
  ASSERT_TRUE(suppressed.add("leak:libplug.so"));
  const run_figures other = figures_of(report, symbolizer, {.suppressed = &suppressed});
  EXPECT_EQ(other.totals.at_moment, (exact_amount{3, 600}));
  EXPECT_EQ(other.totals.left, exact_amount{});
  EXPECT_EQ(other.suppressed, (exact_amount{3, 600}));
  EXPECT_EQ(other.totals.allocated, (exact_amount{3, 600}));
}

}  // namespace
}  // namespace tenure::analyze
