// The totals that a recording tells of its processes, held against what a replay of all their events counts: every
// figure of random recordings. The replay has an oracle of its own (exact_test.cc).
#include <gtest/gtest.h>

#include <map>

#include "instruments/analyze/exact.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

constexpr std::uint64_t step_ns = 1000 * record::event_time_unit_ns;

// Whether some memory is told after events that are later than it.
enum class memories { none, in_time, late };

class thrown_process {
 public:
  thrown_process(collect::recording_writer& writer, std::uint32_t pid, std::uint32_t seed, memories how)
      : writer_(writer), dice_(seed), how_(how) {
    record_ = test::made_process();
    record_.pid = pid;
    record_.start_ns = now_ns_ = test::made_start_ns / step_ns * step_ns + dice_.below(100) * step_ns;
    number_ = writer_.begin_process(record_);
  }

  // Some events, and perhaps how its memory is.
  void go_on(std::uint32_t count) {
    std::vector<record::event> events;
    for (std::uint32_t i = 0; i < count; ++i) events.push_back(next());
    // Before the events that lead to it, as a rule; behind later ones, of late ones.
    const bool tells = how_ != memories::none && dice_.one_in(3);
    if (tells && how_ == memories::in_time) tell_memory(now_ns_ - dice_.below(count / 2 + 1) * step_ns, events);
    writer_.write_events(number_, record_, events);
    if (tells && how_ == memories::late) tell_memory(now_ns_ - (1 + dice_.below(count / 2 + 1)) * step_ns, events);
  }
  void end() {
    if (how_ != memories::none) tell_memory(now_ns_ + step_ns, {});
    record_.end = collect::process_end::exited;
    // It may be said to have ended before its last event.
    record_.end_ns = now_ns_ + dice_.below(3) * 5 * step_ns - 5 * step_ns;
    writer_.end_process(number_, record_, {});
  }

 private:
  record::event next() {
    record::event one;
    now_ns_ += dice_.below(4) == 0 ? 0 : step_ns;  // several may be of one time
    one.time_ns = now_ns_;
    one.thread = dice_.below(3);
    const std::uint32_t what = dice_.below(20);
    if (what == 0) {
      one.kind = record::event_kind::stray_free;
    } else if (what < 12 || live_.empty()) {
      one.stack = dice_.below(4);
      one.bytes = dice_.below(1u << dice_.below(16));
      one.entry = static_cast<std::uint8_t>(dice_.below(4));
      live_.push_back(slots_.take());
    } else {
      one.kind = record::event_kind::free;
      const std::uint32_t which = dice_.below(static_cast<std::uint32_t>(live_.size()));
      one.slot = live_[which];
      if (dice_.below(3) != 0) one.stack = dice_.below(4);
      live_.erase(live_.begin() + which);
      slots_.give(one.slot);
    }
    return one;
  }
  void tell_memory(std::uint64_t time_ns, const std::vector<record::event>& coming) {
    collect::memory_map map;
    map.time_ns = time_ns;
    // Not before what was written last, but for late ones.
    if (how_ == memories::in_time && !coming.empty()) map.time_ns = std::max(time_ns, coming.front().time_ns);
    map.statistics.small_span_bytes = dice_.below(1u << 20);
    for (std::uint32_t i = 0; i < 5; ++i) map.statistics.classes[i].block_bytes = 16u << (2 * i);
    collect::mapping& heap = map.mappings.emplace_back();
    heap.begin = 0x10000;
    heap.end = heap.begin + (1 << 30);
    heap.resident_bytes = heap.anonymous_bytes = 1 << 30;
    heap.permissions = "rw-p";
    map.resident_bytes = 1 << 30;
    map.statistics.window_begin = heap.begin;
    map.statistics.window_end = heap.end;
    map.statistics.chunk_bytes = 1 << 30;
    writer_.write_memory(number_, map);
  }

  collect::recording_writer& writer_;
  test::dice dice_;
  memories how_;
  collect::process_record record_;
  std::uint32_t number_ = 0;
  std::uint64_t now_ns_ = 0;
  record::slot_table slots_;
  std::vector<std::uint32_t> live_;
};

void write(const std::filesystem::path& path, std::uint32_t seed, memories how,
           const collect::recording_limits& limits) {
  auto file = record::block_writer::create(path);
  ASSERT_TRUE(file);
  collect::recording_writer writer(std::move(*file), limits);
  collect::recording run;
  run.start_ns = test::made_start_ns;
  writer.begin_run(run, {"app"});
  test::dice dice(seed);
  std::vector<thrown_process> open;
  for (std::uint32_t i = 0; i < 40; ++i) {
    if (open.empty() || (open.size() < 3 && dice.one_in(10))) open.emplace_back(writer, 100 + i, seed * 100 + i, how);
    open[dice.below(static_cast<std::uint32_t>(open.size()))].go_on(1 + dice.below(200));
  }
  for (thrown_process& one : open) one.end();
  writer.end_run(run);
  ASSERT_FALSE(writer.error());
}

struct looked_at {
  exact_report report;
  bool is_replayed = false;
};

looked_at look(const std::filesystem::path& path, exact_options options) {
  looked_at result;
  std::size_t readings = 0;
  options.progress = [&](const char* doing, double) { readings += std::string(doing) == "reading" ? 1 : 0; };
  auto reader = collect::recording_reader::open(path);
  EXPECT_TRUE(reader);
  symbols::symbolizer symbolizer;
  result.report = analyze_exactly(*reader, symbolizer, options);
  result.is_replayed = readings > 1;
  return result;
}

void expect_same(const exact_site& one, const exact_site& other) {
  EXPECT_TRUE(static_cast<const record::stack_total&>(one) == static_cast<const record::stack_total&>(other));
  EXPECT_EQ(one.stack, other.stack);
  EXPECT_EQ(one.function, other.function);
}

void expect_same(const exact_process& one, const exact_process& other) {
  EXPECT_EQ(one.events, other.events);
  EXPECT_EQ(one.stray_frees, other.stray_frees);
  EXPECT_EQ(one.is_complete, other.is_complete);
  EXPECT_EQ(one.peak, other.peak);
  EXPECT_EQ(one.peak_time_ns, other.peak_time_ns);
  EXPECT_EQ(one.moment_ns, other.moment_ns);
  EXPECT_EQ(one.end_ns, other.end_ns);
  EXPECT_EQ(one.profile.record.end_ns, other.profile.record.end_ns);
  expect_same(one.totals, other.totals);
  ASSERT_EQ(one.sites.size(), other.sites.size());
  for (std::size_t i = 0; i < one.sites.size(); ++i) expect_same(one.sites[i], other.sites[i]);
  ASSERT_EQ(one.by_function.size(), other.by_function.size());
  for (std::size_t i = 0; i < one.by_function.size(); ++i) {
    const exact_group &group = one.by_function[i], &same = other.by_function[i];
    EXPECT_EQ(group.name, same.name);
    EXPECT_EQ(group.stack_count, same.stack_count);
    expect_same(group.totals, same.totals);
    ASSERT_EQ(group.freed_by.size(), same.freed_by.size());
    for (std::size_t k = 0; k < group.freed_by.size(); ++k) {
      EXPECT_EQ(group.freed_by[k].name, same.freed_by[k].name);
      EXPECT_EQ(group.freed_by[k].amount, same.freed_by[k].amount);
    }
  }
  ASSERT_EQ(one.frees.size(), other.frees.size());
  for (std::size_t i = 0; i < one.frees.size(); ++i) {
    EXPECT_EQ(one.frees[i].stack, other.frees[i].stack);
    EXPECT_EQ(one.frees[i].amount, other.frees[i].amount);
  }
  ASSERT_EQ(one.memory.has_value(), other.memory.has_value());
  if (!one.memory) return;
  EXPECT_EQ(one.memory->time_ns, other.memory->time_ns);
  ASSERT_EQ(one.memory->parts.size(), other.memory->parts.size());
  for (std::size_t i = 0; i < one.memory->parts.size(); ++i)
    EXPECT_EQ(one.memory->parts[i].resident_bytes, other.memory->parts[i].resident_bytes) << i;
}

void expect_same(const exact_report& one, const exact_report& other) {
  EXPECT_EQ(one.is_complete, other.is_complete);
  EXPECT_EQ(one.damage, other.damage);
  EXPECT_EQ(one.run.end_ns, other.run.end_ns);
  ASSERT_EQ(one.processes.size(), other.processes.size());
  for (std::size_t i = 0; i < one.processes.size(); ++i) expect_same(one.processes[i], other.processes[i]);
}

class ToldTotalsTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  test::made_file file_;
};

TEST_P(ToldTotalsTest, AreWhatAReplayCounts) {
  for (const memories how : {memories::none, memories::in_time, memories::late}) {
    write(file_.path(), GetParam(), how, {});
    const looked_at quick = look(file_.path(), {});
    const looked_at whole = look(file_.path(), {.replays_always = true});
    EXPECT_TRUE(whole.is_replayed);
    if (how != memories::late) {
      EXPECT_FALSE(quick.is_replayed);
    }
    expect_same(quick.report, whole.report);
    const std::uint32_t pid = whole.report.processes.back().profile.record.pid;
    expect_same(look(file_.path(), {.selected = {.process = pid}}).report,
                look(file_.path(), {.selected = {.process = pid}, .replays_always = true}).report);
  }
}

TEST_P(ToldTotalsTest, AreNotAskedForWhatTheyDoNotTell) {
  write(file_.path(), GetParam(), memories::in_time, {});
  for (const exact_options& options :
       {exact_options{.at_ns = 50 * step_ns}, exact_options{.selected = {.thread = "app"}},
        exact_options{.selected = {.function = "0x10"}}, exact_options{.selected = {.most_bytes = 100}},
        exact_options{.selected = {.end_ns = 300 * step_ns}}})
    EXPECT_TRUE(look(file_.path(), options).is_replayed);
}

// Its end was not written, or its beginning was dropped.
TEST_P(ToldTotalsTest, AreNotThereOfARecordingThatWasCut) {
  write(file_.path(), GetParam(), memories::none, {});
  const auto bytes = std::filesystem::file_size(file_.path());
  std::filesystem::resize_file(file_.path(), bytes * 9 / 10);
  EXPECT_TRUE(look(file_.path(), {}).is_replayed);
  write(file_.path(), GetParam(), memories::none, {.most_bytes = bytes / 2});
  auto reader = collect::recording_reader::open(file_.path());
  ASSERT_TRUE(reader);
  reader->survey();
  EXPECT_TRUE(reader->run().rotated);
  for (const collect::recorded_process& one : reader->run().processes) EXPECT_FALSE(one.totals.is_whole);
  expect_same(look(file_.path(), {}).report, look(file_.path(), {.replays_always = true}).report);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ToldTotalsTest, ::testing::Range(1u, 21u));

// A window is read to its end and no further.
TEST(WindowTest, IsReadToItsEnd) {
  const test::made_file file;
  const auto blocks = test::thrown_blocks(3, 20'000);
  test::write_recording(file.path(), blocks, test::made_process(), 1'000'000'000'000);
  const std::uint64_t last_ns = blocks.back().from_ns;
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer;
  const auto share_read = [&](const selection& selected) {
    analyze_exactly(*reader, symbolizer, {.selected = selected});
    return reader->progress();
  };
  EXPECT_LT(share_read({.end_ns = last_ns / 4}), 0.5);
  EXPECT_EQ(share_read({.begin_ns = last_ns / 4}), 1);
}

TEST(ToldTotals, AreReadAsTheyWereWrittenAndNothingElseIsTaken) {
  test::dice dice(8);
  record::told_totals totals;
  totals.events = 12345;
  totals.peak = {7, 9999};
  for (std::uint32_t stack = 0; stack < 500; stack += 1 + dice.below(4)) {
    record::stack_total one;
    for (auto* const amount : {&one.allocated, &one.freed, &one.freed_elsewhere, &one.at_moment, &one.peak})
      *amount = {dice.below(1000), std::uint64_t{dice()} << dice.below(20)};
    one.at_end = one.allocated;
    one.at_end -= one.freed;
    one.lifetime_ns = std::uint64_t{dice()} << 20;
    totals.stacks.emplace_back(stack, one);
    totals.freed.emplace_back(record::stack_pair(stack, dice.below(500)), record::block_amount{1, dice()});
  }
  totals.moments = {{5, {1, 2}, 16}, {7, {3, 4}, 32}};
  std::vector<std::uint8_t> bytes;
  totals.write([&](std::span<const std::uint8_t> part) { bytes.assign(part.begin(), part.end()); });
  record::told_totals read;
  ASSERT_TRUE(read.take(record::byte_reader(bytes), 500));
  EXPECT_TRUE(read.is_whole);
  EXPECT_EQ(read.stacks, totals.stacks);
  EXPECT_EQ(read.freed, totals.freed);
  EXPECT_EQ(read.moments, totals.moments);
  EXPECT_EQ(read.peak, totals.peak);
  EXPECT_EQ(read.events, totals.events);
  EXPECT_FALSE(read.take(record::byte_reader(bytes), 500));  // there is no more
  record::told_totals refused;
  EXPECT_FALSE(refused.take(record::byte_reader(bytes), totals.stacks.back().first));
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    record::told_totals cut;
    EXPECT_FALSE(cut.take(record::byte_reader(std::span(bytes).first(length)), 500)) << length;
    EXPECT_FALSE(cut.is_whole);
  }
}

}  // namespace
}  // namespace tenure::analyze
