// What call sites are called in every build, and what is a change: held against names written by hand and against the
// definitions, figure by figure.
#include "instruments/analyze/difference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

frame named(const char* function, const char* file = "", std::uint32_t line = 0) {
  frame one;
  one.function = function;
  one.file = file;
  one.line = line;
  one.is_named = true;
  return one;
}

frame unnamed(const char* function) {
  frame one;
  one.function = function;
  return one;
}

TEST(SiteIdentity, NamesLoseWhatTheCompilerMade) {
  for (const auto& [name, identity] : {std::pair{"shop::add(int)", "shop::add(int)"},
                                       {"shop::add(int) [clone .constprop.0]", "shop::add(int)"},
                                       {"parse.part.1.isra.0", "parse"},
                                       {"parse.cold", "parse"},
                                       {"parse.lto_priv.3", "parse"},
                                       {".cold", ".cold"},
                                       {"particle", "particle"}})
    EXPECT_EQ(function_identity(name), identity);
}

TEST(SiteIdentity, ModulesLoseFolderAndVersionAndTheProgramItsName) {
  EXPECT_EQ(module_identity("/usr/lib/libshop.so.4.2", "/bin/app"), "libshop.so");
  EXPECT_EQ(module_identity("/usr/lib/libshop.so", "/bin/app"), "libshop.so");
  EXPECT_EQ(module_identity("/usr/lib/plugin", "/bin/app"), "plugin");
  EXPECT_EQ(module_identity("/bin/app", "/bin/app"), "");
}

// The same stack in two builds: other places, names and lines, an unnamed function more.
TEST(SiteIdentity, IsThatOfBothBuilds) {
  process_profile old_build, new_build;
  old_build.record = test::made_process();
  new_build.record = test::made_process();
  new_build.record.executable = new_build.record.modules[1].path = "/elsewhere/app-new";
  new_build.record.modules[2].path = "/elsewhere/libplug.so.2";
  for (collect::module& one : new_build.record.modules) one.bias += 0x700000;
  for (collect::location& one : new_build.record.locations) one.address += 0x700010;
  old_build.frames.resize(6);
  new_build.frames.resize(6);
  // Stack 3: malloc < plug+0x40 < app+0x20 < app+0x90, which here are
  old_build.frames[5] = {named("plug::grow", "plug.cc", 10), named("plug::add", "plug.cc", 20)};
  old_build.frames[2] = {unnamed("app+0x20")};
  old_build.frames[3] = {named("main", "main.cc", 5)};
  new_build.frames[5] = {named("plug::grow [clone .isra.0]", "plug.cc", 17), named("plug::add", "plug.cc", 28)};
  new_build.frames[2] = {unnamed("app-new+0x30"), unnamed("app-new+0x50")};
  new_build.frames[3] = {named("main", "main.cc", 6)};
  symbols::symbolizer symbolizer;
  frame_resolver old_frames(old_build, symbolizer), new_frames(new_build, symbolizer);
  const std::vector<std::string> expected = {"libplug.so!plug::grow", "libplug.so!plug::add", "?", "main"};
  EXPECT_EQ(site_identity(old_build, old_frames, 3), expected);
  EXPECT_EQ(site_identity(new_build, new_frames, 3), expected);
  EXPECT_EQ(site_identity(old_build, old_frames, 99), (std::vector<std::string>{"[no stack]"}));
}

TEST(SiteIdentity, FiguresOfARecordingAreThoseOfItsBlocks) {
  const test::made_file file;
  const auto blocks = test::thrown_blocks(3, 800);
  test::write_recording(file.path(), blocks, test::made_process(), 1'000'000'000'000);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer;
  exact_report report = analyze_exactly(*reader, symbolizer, {.at_ns = blocks[500].from_ns});
  const run_figures run = figures_of(report, symbolizer);
  EXPECT_TRUE(run.is_exact);
  // Nothing has a name here: stacks of the program are one site, those of the library are two by what calls them.
  std::map<std::vector<std::string>, site_figures> expected;
  for (const test::made_block& one : blocks) {
    const std::vector<std::string> frames =
        one.stack < 2 ? std::vector<std::string>{"?"} : std::vector<std::string>{"libplug.so!?", "?"};
    expected[frames].allocated += {1, one.bytes};
    if (one.lives_at(blocks[500].from_ns)) expected[frames].at_moment += {1, one.bytes};
    if (one.to_ns == ~0ull) expected[frames].left += {1, one.bytes};
  }
  ASSERT_EQ(run.by_site.size(), expected.size());
  for (const auto& [frames, figures] : expected) {
    const site_figures& told = run.by_site.at(frames);
    EXPECT_EQ(told.allocated, figures.allocated);
    EXPECT_EQ(told.at_moment, figures.at_moment);
    EXPECT_EQ(told.left, figures.left);
  }
  EXPECT_EQ(by_function(run).size(), 2u);
}

using thrown_run = std::map<std::vector<std::string>, std::uint64_t>;

thrown_run throw_run(test::dice& thrown) {
  thrown_run result;
  for (const char* function : {"a", "b", "c", "d"})
    for (const char* caller : {"main", "work"})
      if (!thrown.one_in(4)) result[{function, caller}] = thrown.below(10'000);
  return result;
}

run_figures run_of(const thrown_run& from) {
  run_figures result;
  for (const auto& [frames, bytes] : from) {
    site_figures& one = result.by_site[frames];
    one.frames = frames;
    one.at_moment = {1, bytes};
    result.totals += one;
  }
  return result;
}

// By the definition: of the runs of a side, the mean and how far they lie apart.
struct summary {
  double mean = 0, spread = 0;
};
template <class Value>
summary summary_of(const std::vector<thrown_run>& runs, Value&& value) {
  std::vector<double> all;
  for (const thrown_run& run : runs) all.push_back(value(run));
  double sum = 0;
  for (const double one : all) sum += one;
  return {sum / static_cast<double>(all.size()),
          *std::max_element(all.begin(), all.end()) - *std::min_element(all.begin(), all.end())};
}

double bytes_of_function(const thrown_run& run, const std::string& function) {
  double bytes = 0;
  for (const auto& [frames, value] : run)
    if (frames[0] == function) bytes += static_cast<double>(value);
  return bytes;
}

void expect_comparison(const std::vector<thrown_run>& before, const std::vector<thrown_run>& after) {
  std::vector<run_figures> left, right;
  for (const thrown_run& run : before) left.push_back(run_of(run));
  for (const thrown_run& run : after) right.push_back(run_of(run));
  const difference told = compare(left, right, measure::held_bytes);
  const auto whole = [](const thrown_run& run) {
    double bytes = 0;
    for (const auto& [frames, value] : run) bytes += static_cast<double>(value);
    return bytes;
  };
  const bool is_measured = before.size() + after.size() > 2;
  EXPECT_EQ(told.is_measured, is_measured);
  const double greatest_whole = std::max(summary_of(before, whole).mean, summary_of(after, whole).mean);
  double last = std::numeric_limits<double>::infinity();
  for (const changed_site& function : told.by_function) {
    const auto value = [&](const thrown_run& run) { return bytes_of_function(run, function.frames[0]); };
    const summary old_side = summary_of(before, value), new_side = summary_of(after, value);
    const change& one = function.of(measure::held_bytes);
    EXPECT_NEAR(one.before, old_side.mean, 1e-6);
    EXPECT_NEAR(one.after, new_side.mean, 1e-6);
    const double noise = is_measured ? std::max(old_side.spread, new_side.spread)
                                     : std::max(0.01 * std::max(one.before, one.after), 0.001 * greatest_whole);
    EXPECT_NEAR(one.noise, noise, 1e-6);
    EXPECT_EQ(one.is_noise(), std::abs(new_side.mean - old_side.mean) <= noise);
    EXPECT_LE(std::abs(one.difference()), last + 1e-6);
    last = std::abs(one.difference());
  }
}

TEST(Difference, IsThatOfTheDefinition) {
  test::dice thrown(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<thrown_run> before, after;
    for (std::uint32_t i = 0; i <= thrown.below(3); ++i) before.push_back(throw_run(thrown));
    for (std::uint32_t i = 0; i <= thrown.below(3); ++i) after.push_back(throw_run(thrown));
    expect_comparison(before, after);
  }
}

TEST(Difference, TheSameTwiceIsNoChange) {
  test::dice thrown(6);
  const run_figures run = run_of(throw_run(thrown));
  const difference told = compare(std::span(&run, 1), std::span(&run, 1), measure::held_bytes);
  EXPECT_FALSE(told.by_site.empty());
  for (const changed_site& site : told.by_site)
    for (const change& one : site.by_measure) EXPECT_EQ(one.difference(), 0);
}

}  // namespace
}  // namespace tenure::analyze
