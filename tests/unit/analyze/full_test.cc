// The full profile held against analyze(): the same blocks once as a recording and once as samples of which each stands
// for itself, two ways through different code. Lifetimes are held against their definition.
#include "instruments/analyze/full.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "instruments/analyze/life_classes.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using test::made_block;

constexpr std::uint64_t length_ns = 8'000'000'000;

collect::memory_map map_at(std::uint64_t time_ns) {
  collect::memory_map map;
  map.time_ns = time_ns;
  collect::mapping heap;
  heap.begin = 0x100000000;
  heap.end = 0x200000000;
  heap.resident_bytes = 64 << 20;
  map.mappings.push_back(heap);
  map.statistics.window_begin = heap.begin;
  map.statistics.window_end = heap.end;
  map.resident_bytes = heap.resident_bytes;
  return map;
}

// What was watched of the process, without its blocks.
collect::process_record watched_process() {
  collect::process_record record = test::made_process();
  record.end = collect::process_end::exited;
  record.end_ns = test::made_start_ns + length_ns;
  for (std::uint64_t i = 0; i < 100; ++i)
    record.resident.push_back({test::made_start_ns + i * length_ns / 100, (i % 17) << 20});
  record.maps.push_back(map_at(test::made_start_ns + length_ns / 3));
  record.exit_map = map_at(record.end_ns);
  record.has_exit_map = true;
  return record;
}

collect::recording watched(collect::process_record process) {
  collect::recording run;
  run.child_pid = process.pid;
  run.start_ns = test::made_start_ns;
  run.end_ns = process.end_ns;
  run.processes.push_back(std::move(process));
  return run;
}

void give_samples(collect::process_record& to, const std::vector<made_block>& blocks) {
  const std::uint64_t base = test::made_start_ns / record::event_time_unit_ns * record::event_time_unit_ns;
  for (const made_block& block : blocks) {
    collect::sample one;
    one.id = to.samples.size() + 1;
    one.time_ns = base + block.from_ns;
    one.requested_bytes = one.usable_bytes = block.bytes;
    one.stack = block.stack;
    one.thread = block.thread;
    if (block.to_ns != ~0ull) {
      one.free_time_ns = base + block.to_ns;
      one.free_thread = block.freer;
    }
    to.samples.push_back(one);
  }
}

void expect_same(const amount& counted, const amount& sampled, const std::string& of) {
  EXPECT_EQ(counted.bytes.value, sampled.bytes.value) << of;
  EXPECT_EQ(counted.blocks.value, sampled.blocks.value) << of;
  EXPECT_EQ(counted.usable_bytes.value, sampled.usable_bytes.value) << of;
  EXPECT_EQ(counted.samples, sampled.samples) << of;
  EXPECT_EQ(counted.bytes.variance, 0) << of;
}

void expect_same(const std::optional<std::uint64_t>& counted, const std::optional<std::uint64_t>& sampled,
                 const std::string& of) {
  ASSERT_EQ(counted.has_value(), sampled.has_value()) << of;
  if (!counted) return;
  const double exact = static_cast<double>(*sampled);
  EXPECT_NEAR(static_cast<double>(*counted), exact, exact / 32 + 1) << of;
}

void expect_same(const lifetime_summary& counted, const lifetime_summary& sampled, const std::string& of) {
  expect_same(counted.freed, sampled.freed, of);
  expect_same(counted.never_freed, sampled.never_freed, of);
  EXPECT_EQ(counted.freed_bytes_by_log2_ns, sampled.freed_bytes_by_log2_ns) << of;
  EXPECT_EQ(counted.freed_by_other_thread_bytes, sampled.freed_by_other_thread_bytes) << of;
  expect_same(counted.quartile_ns, sampled.quartile_ns, of + " 25%");
  expect_same(counted.median_ns, sampled.median_ns, of + " 50%");
  expect_same(counted.third_quartile_ns, sampled.third_quartile_ns, of + " 75%");
  expect_same(counted.ninth_decile_ns, sampled.ninth_decile_ns, of + " 90%");
}

void expect_same(const call_site& counted, const call_site& sampled, const std::string& of) {
  expect_same(counted.allocated, sampled.allocated, of);
  expect_same(counted.live_at_peak, sampled.live_at_peak, of);
  expect_same(counted.live_at_exit, sampled.live_at_exit, of);
  expect_same(counted.lifetimes, sampled.lifetimes, of);
}

void expect_same(const std::vector<site_group>& counted, const std::vector<site_group>& sampled) {
  ASSERT_EQ(counted.size(), sampled.size());
  std::map<std::string, const site_group*> by_name;
  for (const site_group& one : sampled) by_name[one.name] = &one;
  for (const site_group& one : counted) {
    ASSERT_TRUE(by_name.contains(one.name)) << one.name;
    expect_same(one.totals, by_name[one.name]->totals, one.name);
    EXPECT_EQ(one.totals.stack, by_name[one.name]->totals.stack) << one.name;
    EXPECT_EQ(one.stack_count, by_name[one.name]->stack_count) << one.name;
  }
}

void expect_same_both_ways(std::uint32_t seed) {
  const std::vector<made_block> blocks = test::thrown_blocks(seed, 3000);
  const test::made_file file;
  test::write_recording(file.path(), blocks, test::made_process(), length_ns);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader) << reader.error();
  symbols::symbolizer symbolizer;
  const profile counted = analyze_fully(watched(watched_process()), *reader, symbolizer, {});
  collect::process_record with_samples = watched_process();
  give_samples(with_samples, blocks);
  const profile sampled = analyze(watched(std::move(with_samples)), symbolizer, {});

  ASSERT_EQ(counted.processes.size(), 1u);
  EXPECT_EQ(counted.main_process, 0u);
  const process_profile& full = counted.processes[0];
  const process_profile& other = sampled.processes[0];
  ASSERT_TRUE(full.full);
  EXPECT_TRUE(full.full->is_complete);
  EXPECT_FALSE(other.full);
  const auto freed = std::count_if(blocks.begin(), blocks.end(), [](auto& one) { return one.to_ns != ~0ull; });
  EXPECT_EQ(full.full->events, blocks.size() + static_cast<std::size_t>(freed));
  EXPECT_EQ(full.live_peak_time_ns, other.live_peak_time_ns);
  expect_same(full.allocated, other.allocated, "allocated");
  expect_same(full.live_at_peak, other.live_at_peak, "live at the peak");
  expect_same(full.live_at_exit, other.live_at_exit, "live at exit");
  expect_same(full.lifetimes, other.lifetimes, "all");
  ASSERT_EQ(full.sites.size(), other.sites.size());
  for (std::size_t i = 0; i < full.sites.size(); ++i) {
    EXPECT_EQ(full.sites[i].stack, other.sites[i].stack);
    expect_same(full.sites[i], other.sites[i], "stack " + std::to_string(full.sites[i].stack));
  }
  expect_same(full.by_function, other.by_function);
  expect_same(full.by_line, other.by_line);
  expect_same(full.by_module, other.by_module);
  expect_same(full.by_thread, other.by_thread);
  EXPECT_EQ(full.peak_resident_bytes, other.peak_resident_bytes);
  ASSERT_EQ(full.timeline.size(), other.timeline.size());
  for (std::size_t i = 0; i < full.timeline.size(); ++i) {
    EXPECT_EQ(full.timeline[i].time_ns, other.timeline[i].time_ns);
    EXPECT_EQ(full.timeline[i].live_bytes, other.timeline[i].live_bytes) << i;
  }
  for (std::size_t i = 0; i < full.live_late.size(); ++i) expect_same(full.live_late[i], other.live_late[i], "late");
  ASSERT_TRUE(full.memory_at_peak && other.memory_at_peak);
  ASSERT_EQ(full.memory_at_peak->parts.size(), other.memory_at_peak->parts.size());
  for (std::size_t i = 0; i < full.memory_at_peak->parts.size(); ++i)
    EXPECT_EQ(full.memory_at_peak->parts[i].resident_bytes, other.memory_at_peak->parts[i].resident_bytes);
}

TEST(Full, SaysWhatSamplesOfEveryBlockSay) {
  for (std::uint32_t seed = 1; seed <= 4; ++seed) expect_same_both_ways(seed);
}

TEST(Full, UsableBytesAreThoseOfTheSizeClasses) {
  std::vector<made_block> blocks(3);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].from_ns = (i + 1) * 1280;
  blocks[0].bytes = 100;   // of the class 112
  blocks[1].bytes = 16;    // just one
  blocks[2].bytes = 5000;  // of none: whole pages
  const test::made_file file;
  test::write_recording(file.path(), blocks, test::made_process(), length_ns);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  collect::process_record record = watched_process();
  record.statistics.classes[3].block_bytes = 112;
  record.statistics.classes[1].block_bytes = 16;
  symbols::symbolizer symbolizer;
  const profile counted = analyze_fully(watched(std::move(record)), *reader, symbolizer, {});
  EXPECT_EQ(counted.processes[0].allocated.usable_bytes.value, 112 + 16 + 8192);
}

// A process that told nothing, and a recording of another process: neither is taken for the other.
TEST(Full, AProcessIsMatchedByWhoItIs) {
  const test::made_file file;
  test::write_recording(file.path(), test::thrown_blocks(1, 100), test::made_process(), length_ns);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  collect::process_record other = watched_process();
  other.start_ns += 1;  // the same number, used again
  symbols::symbolizer symbolizer;
  const profile counted = analyze_fully(watched(std::move(other)), *reader, symbolizer, {});
  ASSERT_EQ(counted.processes.size(), 1u);
  EXPECT_FALSE(counted.processes[0].has_sites());
  EXPECT_EQ(counted.processes[0].full->events, 0u);
}

TEST(Full, ACutRecordingSaysSo) {
  const test::made_file file;
  test::write_recording(file.path(), test::thrown_blocks(1, 2000), test::made_process(), length_ns);
  std::filesystem::resize_file(file.path(), std::filesystem::file_size(file.path()) * 3 / 4);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer;
  const profile counted = analyze_fully(watched(watched_process()), *reader, symbolizer, {});
  EXPECT_FALSE(counted.processes[0].full->is_complete);
  const auto& findings = counted.processes[0].findings;
  EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](auto& one) { return one.code == "cut-off"; }));
}

TEST(LifeClasses, HoldTheirOwnAndNothingElse) {
  for (std::uint64_t ns = 0; ns < 100'000; ++ns) {
    const std::uint32_t number = life_class_of(ns);
    const auto middle = static_cast<double>(middle_of_life_class(number));
    ASSERT_NEAR(middle, static_cast<double>(ns), static_cast<double>(ns) / 32) << ns;
    ASSERT_EQ(life_class_of(middle_of_life_class(number)), number);
    ASSERT_LE(number, life_class_of(ns + 1));
  }
  EXPECT_LT(life_class_of(~0ull), 1000u);
}

}  // namespace
}  // namespace tenure::analyze
