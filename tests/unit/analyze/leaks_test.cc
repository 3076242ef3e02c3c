// What a scan found, by stack: on a process made by hand.
#include "instruments/analyze/leaks.h"

#include <gtest/gtest.h>

#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using collect::leaked_block;
using wire::block_reach;

// Stack 0 is of app+0x10, 1 of app+0x20, 2 of libplug.so.
collect::recording scanned(std::vector<leaked_block> blocks) {
  collect::recording run;
  collect::process_record& record = run.processes.emplace_back(test::made_process());
  record.scan.emplace();
  record.scan->header.pause_ns = 7;
  record.scan->blocks = std::move(blocks);
  return run;
}

leaked_block leaked(std::uint64_t address, block_reach reach, std::uint32_t stack, std::uint64_t requested_bytes) {
  leaked_block one;
  one.address = address;
  one.bytes = 64;
  one.reach = reach;
  one.stack = stack;
  one.requested_bytes = requested_bytes;
  one.time_ns = test::made_start_ns + address;
  return one;
}

leak_report found_in(collect::recording&& run, const char* rules = "") {
  suppressions suppressed;
  EXPECT_TRUE(suppressed.add(rules));
  symbols::symbolizer symbolizer;
  return find_leaks(std::move(run), symbolizer, suppressed, true);
}

const leak_site* site_of(const leak_process& process, leak_kind kind, std::uint32_t stack) {
  for (const leak_site& one : process.sites)
    if (one.kind == kind && one.stack == stack) return &one;
  return nullptr;
}

const exact_amount& total(const leak_process& process, leak_kind kind) {
  return process.totals[static_cast<std::size_t>(kind)];
}

// An unrolled loop: another return address, and nothing that a reader could tell the two by.
TEST(Leaks, StacksThatReadTheSameAreOneSite) {
  collect::recording run =
      scanned({leaked(0x100, block_reach::definite, 0, 50), leaked(0x200, block_reach::definite, 4, 60),
               leaked(0x300, block_reach::definite, 1, 70)});
  collect::process_record& record = run.processes.at(0);
  record.locations.push_back(record.locations[1]);
  record.stacks.push_back({{0, static_cast<std::uint32_t>(record.locations.size() - 1), 3}, {}});
  ASSERT_EQ(record.stacks.size(), 5u);
  const leak_report report = found_in(std::move(run));
  const leak_process& process = report.processes.at(0);
  ASSERT_EQ(process.sites.size(), 2u);
  EXPECT_EQ(process.sites[0].leaked.blocks, 2u);
  EXPECT_EQ(process.sites[0].leaked.bytes, 110u);
  EXPECT_EQ(process.sites[0].first_ns, test::made_start_ns + 0x100);
  EXPECT_EQ(process.sites[0].last_ns, test::made_start_ns + 0x200);
  EXPECT_EQ(total(process, leak_kind::definite).blocks, 3u);
}

TEST(Leaks, BlocksOfOneKindAndStackAreOneSite) {
  leaked_block leader = leaked(0x100, block_reach::definite, 0, 50);
  leader.held = {3, 192};
  leaked_block member = leaked(0x200, block_reach::indirect, 1, 40);
  member.leader = 0x100;
  const leak_report report = found_in(
      scanned({leader, leaked(0x300, block_reach::definite, 0, 60), leaked(0x400, block_reach::definite, 2, 10),
               leaked(0x500, block_reach::possible, 0, 20), member}));
  const leak_process& process = report.processes.at(0);
  EXPECT_EQ(process.scan->pause_ns, 7u);
  EXPECT_EQ(process.sites.size(), 4u);
  const leak_site* const first = site_of(process, leak_kind::definite, 0);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->leaked, (exact_amount{2, 110}));
  EXPECT_EQ(first->held, (exact_amount{3, 192}));
  EXPECT_EQ(first->first_ns, test::made_start_ns + 0x100);
  EXPECT_EQ(first->last_ns, test::made_start_ns + 0x300);
  EXPECT_EQ(first->chain.at(0).function, "app+0x10");
  EXPECT_EQ(first, &process.sites.front());  // the greatest
  EXPECT_EQ(total(process, leak_kind::definite), (exact_amount{3, 120}));
  EXPECT_EQ(total(process, leak_kind::possible), (exact_amount{1, 20}));
  EXPECT_EQ(total(process, leak_kind::indirect), (exact_amount{1, 40}));
  EXPECT_EQ(process.suppressed.blocks, 0u);
}

TEST(Leaks, WithoutAStackTheUsableSizeIsWhatIsKnown) {
  const leak_report report = found_in(scanned({leaked(0x100, block_reach::definite, no_index, 0)}));
  const leak_process& process = report.processes.at(0);
  EXPECT_EQ(process.without_stack, (exact_amount{1, 64}));
  ASSERT_EQ(process.sites.size(), 1u);
  EXPECT_TRUE(process.sites[0].chain.empty());
}

TEST(Leaks, SuppressedOnesTakeAlongWhatTheyHold) {
  leaked_block member = leaked(0x200, block_reach::indirect, 1, 40);
  member.leader = 0x100;
  leaked_block other = leaked(0x300, block_reach::indirect, 1, 30);
  other.leader = 0x400;
  const leak_report report = found_in(scanned({leaked(0x100, block_reach::definite, 2, 50),
                                               leaked(0x400, block_reach::definite, 0, 60), member, other}),
                                      "leak:libplug.so\n");
  const leak_process& process = report.processes.at(0);
  EXPECT_EQ(process.suppressed, (exact_amount{2, 90}));
  EXPECT_EQ(total(process, leak_kind::definite), (exact_amount{1, 60}));
  EXPECT_EQ(total(process, leak_kind::indirect), (exact_amount{1, 30}));
}

TEST(Leaks, SamplesAreWeighed) {
  collect::recording run = scanned({leaked(0x100, block_reach::definite, 0, 1000)});
  run.processes[0].scan->blocks[0].sample_id = 5;
  collect::sample sample;
  sample.id = 5;
  sample.requested_bytes = sample.usable_bytes = 1000;
  sample.interval_bytes = 100'000;
  run.processes[0].samples.push_back(sample);
  const leak_report report = found_in(std::move(run));
  const leak_site& site = report.processes.at(0).sites.at(0);
  EXPECT_EQ(site.sampled.samples, 1u);
  EXPECT_DOUBLE_EQ(site.sampled.bytes.value, weight_of(sample).bytes.value);
}

TEST(Leaks, AProcessThatWasNotScannedHasNone) {
  collect::recording run;
  run.processes.push_back(test::made_process());
  const leak_report report = found_in(std::move(run));
  EXPECT_FALSE(report.processes.at(0).scan.has_value());
  EXPECT_TRUE(report.processes.at(0).sites.empty());
}

}  // namespace
}  // namespace tenure::analyze
