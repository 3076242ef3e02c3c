// Exact figures and what is selected, held against the blocks that were written: each figure by its definition, block
// by block, and the peak by looking at every moment.
#include "instruments/analyze/exact.h"

#include <gtest/gtest.h>

#include <functional>

#include "instruments/analyze/selection.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using test::made_block;

constexpr std::uint64_t end_ns = 1'000'000'000'000;

exact_report report_of(const std::filesystem::path& path, const exact_options& options) {
  auto reader = collect::recording_reader::open(path);
  EXPECT_TRUE(reader) << reader.error();
  symbols::symbolizer symbolizer;
  return analyze_exactly(*reader, symbolizer, options);
}

using predicate = std::function<bool(const made_block&)>;

// By definition. `until_ns`: what comes later is not looked at.
class oracle {
 public:
  oracle(const std::vector<made_block>& blocks, const predicate& is_selected, std::uint64_t until_ns = ~0ull) {
    for (const made_block& one : blocks) {
      if (!is_selected(one) || one.from_ns >= until_ns) continue;
      selected.push_back(one);
      if (one.to_ns >= until_ns) selected.back().to_ns = ~0ull;
    }
    for (const made_block& one : selected) {
      const std::uint64_t bytes = live_at(one.from_ns).bytes;
      if (bytes <= peak.bytes) continue;
      peak = live_at(one.from_ns);
      peak_ns = one.from_ns;
    }
  }
  exact_amount sum(const predicate& is_counted) const {
    exact_amount result;
    for (const made_block& one : selected)
      if (is_counted(one)) result += {1, one.bytes};
    return result;
  }
  exact_amount live_at(std::uint64_t ns) const {
    return sum([&](const made_block& one) { return one.lives_at(ns); });
  }
  void expect(const exact_process& process, std::uint64_t moment_ns) const {
    const auto of = [&](std::uint32_t stack, const predicate& is_counted) {
      return sum([&](const made_block& one) { return one.stack == stack && is_counted(one); });
    };
    EXPECT_EQ(process.peak, peak);
    exact_site totals;
    for (const exact_site& site : process.sites) {
      const std::uint32_t stack = site.stack;
      EXPECT_EQ(site.allocated, of(stack, [](auto&) { return true; })) << stack;
      EXPECT_EQ(site.freed, of(stack, [](auto& one) { return one.to_ns != ~0ull; })) << stack;
      EXPECT_EQ(site.freed_elsewhere,
                of(stack, [](auto& one) { return one.to_ns != ~0ull && one.freer != one.thread; }));
      EXPECT_EQ(site.at_moment, of(stack, [&](auto& one) { return one.lives_at(moment_ns); })) << stack;
      EXPECT_EQ(site.at_end, of(stack, [](auto& one) { return one.to_ns == ~0ull; })) << stack;
      totals += site;
    }
    EXPECT_EQ(totals.allocated, sum([](auto&) { return true; }));
    EXPECT_EQ(totals.allocated, process.totals.allocated);
    EXPECT_EQ(totals.at_moment, process.totals.at_moment);
  }

  std::vector<made_block> selected;
  exact_amount peak;
  std::uint64_t peak_ns = 0;
};

class ExactTest : public ::testing::Test {
 protected:
  void SetUp() override { test::write_recording(file.path(), blocks, test::made_process(), end_ns); }

  void expect(const selection& selected, const predicate& is_selected) {
    const exact_report report = report_of(file.path(), {.selected = selected});
    ASSERT_EQ(report.processes.size(), 1u);
    const oracle by_definition(blocks, is_selected, selected.end_ns);
    ASSERT_FALSE(by_definition.selected.empty());
    by_definition.expect(report.processes[0], by_definition.peak_ns);
  }

  test::made_file file;
  std::vector<made_block> blocks = test::thrown_blocks(7, 3000);
};

const auto all = [](const made_block&) { return true; };

TEST_F(ExactTest, FiguresAreThoseOfTheBlocks) {
  expect({}, all);
  const exact_report report = report_of(file.path(), {});
  EXPECT_TRUE(report.is_complete);
  EXPECT_FALSE(report.damage);
  EXPECT_EQ(report.processes[0].profile.record.pid, 77u);
}

TEST_F(ExactTest, AnyMomentIsThatMoment) {
  const oracle by_definition(blocks, all);
  const std::uint64_t last_ns = 2 * blocks.size() * 1000 * record::event_time_unit_ns;
  for (const std::uint64_t at_ns : {std::uint64_t{0}, last_ns / 7, last_ns / 3, last_ns / 2, last_ns, 2 * end_ns}) {
    const exact_report report = report_of(file.path(), {.at_ns = at_ns});
    by_definition.expect(report.processes[0], at_ns);
  }
}

TEST_F(ExactTest, AWindowIsWhatWasAllocatedInItAsItWasAtItsEnd) {
  const std::uint64_t last_ns = blocks.back().from_ns;
  for (const auto& [begin, end] :
       {std::pair{last_ns / 4, last_ns / 2}, {std::uint64_t{0}, last_ns / 3}, {last_ns / 3, no_end}}) {
    expect({.begin_ns = begin, .end_ns = end}, [begin = begin](auto& one) { return one.from_ns >= begin; });
  }
}

// Reading begins at a checkpoint where a window allows it: the figures are the same, and less is looked at.
TEST_F(ExactTest, AWindowIsTheSameFromACheckpointOn) {
  blocks = test::thrown_blocks(9, 8'000);
  test::write_recording(file.path(), blocks, test::made_process(), end_ns, {.most_bytes = 120'000});
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  reader->survey();
  ASSERT_FALSE(reader->rounds().empty());
  EXPECT_FALSE(reader->run().rotated);
  const std::uint64_t last_ns = blocks.back().from_ns;
  for (int fourth = 0; fourth < 4; ++fourth) {
    const std::uint64_t begin = last_ns / 4 * static_cast<std::uint64_t>(fourth), end = begin + last_ns / 5;
    expect({.begin_ns = begin, .end_ns = end}, [&](auto& one) { return one.from_ns >= begin; });
    expect({.begin_ns = begin}, [&](auto& one) { return one.from_ns >= begin; });
  }
  const exact_report late = report_of(file.path(), {.selected = {.begin_ns = last_ns / 8 * 7}});
  EXPECT_LT(late.processes[0].events, report_of(file.path(), {}).processes[0].events * 3 / 4);
  EXPECT_FALSE(late.processes[0].before);
}

// What is left of a recording that was kept short: alive at its beginning, and all that came after.
TEST_F(ExactTest, ACutRecordingSpeaksFromItsBeginningOn) {
  blocks = test::thrown_blocks(10, 8'000);
  test::write_recording(file.path(), blocks, test::made_process(), end_ns, {.most_bytes = 30'000});
  EXPECT_LE(std::filesystem::file_size(file.path()), 30'000u);
  const exact_report report = report_of(file.path(), {});
  ASSERT_TRUE(report.rotated);
  EXPECT_TRUE(report.is_complete);
  const exact_process& process = report.processes[0];
  ASSERT_TRUE(process.before);
  // Times are all different and the same in both but for the start's rounding to units.
  const std::uint64_t base = test::made_start_ns / record::event_time_unit_ns * record::event_time_unit_ns;
  const std::uint64_t begin = process.before->last_ns - base;
  exact_amount before, alive, allocated, freed;
  for (const made_block& one : blocks) {
    const exact_amount amount{1, one.bytes};
    (one.from_ns <= begin ? before : allocated) += amount;
    if (one.lives_at(begin)) alive += amount;
    if (one.to_ns != ~0ull && one.to_ns > begin) freed += amount;
  }
  EXPECT_EQ(before.blocks, process.before->allocations);
  EXPECT_EQ(before.bytes, process.before->allocated_bytes);
  EXPECT_EQ(alive, process.totals.at_begin);
  EXPECT_EQ(allocated, process.totals.allocated);
  EXPECT_EQ(freed, process.totals.freed);
  exact_amount left = alive;
  left += allocated;
  left -= freed;
  EXPECT_EQ(left, process.totals.at_end);
  const oracle by_definition(blocks, all);
  for (const std::uint64_t later : {begin + 1, begin + (blocks.back().from_ns - begin) / 2, end_ns}) {
    const exact_report then = report_of(file.path(), {.at_ns = later});
    EXPECT_EQ(then.processes[0].totals.at_moment, by_definition.live_at(later)) << later;
  }
}

TEST_F(ExactTest, ThreadModuleFunctionAndSizeSelect) {
  expect({.thread = "78"}, [](auto& one) { return one.thread == 1; });
  expect({.thread = "worker"}, [](auto& one) { return one.thread != 0; });
  expect({.module = "plug"}, [](auto& one) { return one.stack >= 2; });
  expect({.module = "a*p"}, [](auto& one) { return one.stack < 2; });
  expect({.function = "app+0x20"}, [](auto& one) { return one.stack == 1 || one.stack == 3; });
  expect({.least_bytes = 100, .most_bytes = 2000}, [](auto& one) { return one.bytes >= 100 && one.bytes <= 2000; });
  expect({.begin_ns = blocks[500].from_ns, .thread = "app", .function = "*+0x90", .least_bytes = 64},
         [&](auto& one) { return one.from_ns >= blocks[500].from_ns && one.thread == 0 && one.bytes >= 64; });
}

TEST_F(ExactTest, NothingFitsAndOtherProcesses) {
  const exact_report nothing = report_of(file.path(), {.selected = {.function = "nowhere"}});
  ASSERT_EQ(nothing.processes.size(), 1u);
  EXPECT_TRUE(nothing.processes[0].sites.empty());
  EXPECT_TRUE(report_of(file.path(), {.selected = {.process = 78}}).processes.empty());
  EXPECT_EQ(report_of(file.path(), {.selected = {.process = 77}}).processes.size(), 1u);
}

TEST_F(ExactTest, LifetimesAddUp) {
  std::uint64_t together = 0;
  for (const made_block& one : blocks) together += std::min(one.to_ns, end_ns) - one.from_ns;
  const exact_report report = report_of(file.path(), {});
  // Events come in units, the process's end does not.
  EXPECT_NEAR(static_cast<double>(report.processes[0].totals.lifetime_ns), static_cast<double>(together),
              static_cast<double>(blocks.size() * record::event_time_unit_ns));
}

TEST_F(ExactTest, EveryCutGivesWhatComesBefore) {
  const auto size = std::filesystem::file_size(file.path());
  for (const std::uintmax_t length : {size - 20, size / 2, size / 5}) {
    std::filesystem::resize_file(file.path(), length);
    const exact_report report = report_of(file.path(), {});
    EXPECT_FALSE(report.is_complete);
    for (const exact_process& process : report.processes) {
      EXPECT_EQ(process.totals.at_end.bytes, process.totals.allocated.bytes - process.totals.freed.bytes);
      EXPECT_LE(process.totals.allocated.blocks + process.totals.freed.blocks, process.events);
    }
  }
}

TEST(Selection, PatternsFit) {
  for (const auto& [pattern, text] : {std::pair{"load", "upload_all"},
                                      {"load*", "load_all"},
                                      {"*all", "load_all"},
                                      {"l*d*l", "load_all"},
                                      {"*", ""},
                                      {"", "x"},
                                      {"a**b", "ab"},
                                      {"*x*", "axb"}})
    EXPECT_TRUE(fits(pattern, text)) << pattern << " " << text;
  for (const auto& [pattern, text] : {std::pair{"load", "lo_ad"},
                                      {"load*", "upload"},
                                      {"*load", "loader"},
                                      {"ab*ba", "aba"},
                                      {"*x*y*", "ayx"},
                                      {"a*", ""}})
    EXPECT_FALSE(fits(pattern, text)) << pattern << " " << text;
}

}  // namespace
}  // namespace tenure::analyze
