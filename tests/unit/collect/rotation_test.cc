// A recording that is kept short, read after every step as if its writer had been killed there: what is left is held
// against all that was ever written, event by event, and what was alive against a replay from the beginning.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "instruments/collect/process_files.h"
#include "instruments/collect/recording_reader.h"
#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::collect {
namespace {

using record::event;
using record::event_kind;

// One process that is written, and everything that was.
struct told_process {
  std::uint32_t number = 0;
  process_record record;
  std::vector<event> all;  // in order, with their slots
  std::vector<event> pending;
  record::slot_table slots;
  std::vector<std::uint32_t> used;
  bool has_ended = false;
};

event without_slot(event one) {
  one.slot = 0;
  return one;
}

// The end of what was told, from some event on, as a reader sees it that has slots of its own: what was alive there, in
// the order of the slots, the same events, and each free of the same block.
void expect_same(const std::vector<event>& alive, const std::vector<event>& seen, const std::vector<event>& all) {
  ASSERT_LE(seen.size(), all.size());
  const std::size_t before = all.size() - seen.size();
  std::map<std::uint32_t, event> told, own;  // what lives, by slot
  const auto follow = [](std::map<std::uint32_t, event>& live, const event& one) {
    if (one.kind == event_kind::allocation) live[one.slot] = one;
    if (one.kind == event_kind::free) live.erase(one.slot);
  };
  for (std::size_t at = 0; at < before; ++at) follow(told, all[at]);
  ASSERT_EQ(alive.size(), told.size());
  for (auto expected = told.begin(); const event& one : alive) {
    EXPECT_EQ(one.slot, own.size());
    EXPECT_EQ(without_slot(one), without_slot((expected++)->second));
    own[one.slot] = one;
  }
  for (std::size_t at = 0; at < seen.size(); ++at) {
    const event& one = all[before + at];
    ASSERT_EQ(without_slot(seen[at]), without_slot(one));
    if (one.kind == event_kind::free) {
      ASSERT_EQ(without_slot(own[seen[at].slot]), without_slot(told[one.slot]));
    }
    follow(told, one);
    follow(own, seen[at]);
  }
}

class RotationTest : public ::testing::Test {
 protected:
  void begin(const recording_limits& limits) {
    auto file = record::block_writer::create(path.path());
    ASSERT_TRUE(file) << file.error();
    writer.emplace(std::move(*file), limits);
    recording run;
    run.start_ns = test::made_start_ns;
    writer->begin_run(run, {"made"});
  }
  void begin_process() {
    told_process one;
    one.record = test::made_process();
    one.record.pid = static_cast<std::uint32_t>(100 + told.size());
    one.number = writer->begin_process(one.record);
    told.push_back(std::move(one));
  }
  void tell(told_process& to, std::size_t count, std::uint32_t frees_of_ten) {
    for (; count != 0; --count, time_ns += record::event_time_unit_ns) {
      event one;
      one.time_ns = time_ns;
      one.thread = dice.below(3);
      if (!to.used.empty() && dice.below(10) < frees_of_ten) {
        const std::uint32_t which = dice.below(static_cast<std::uint32_t>(to.used.size()));
        one.kind = event_kind::free;
        one.slot = to.used[which];
        to.slots.give(one.slot);
        to.used[which] = to.used.back();
        to.used.pop_back();
      } else {
        one.stack = dice.below(4);
        one.bytes = dice.below(100'000);
        one.entry = 1;
        to.used.push_back(to.slots.take());
      }
      to.pending.push_back(one);
    }
    writer->write_events(to.number, to.record, to.pending);
    for (event& one : to.pending) {
      if (one.kind == event_kind::allocation) one.slot = writer_slots[to.number].take();
      if (one.kind == event_kind::free) writer_slots[to.number].give(one.slot);
      to.all.push_back(one);
    }
    to.pending.clear();
  }
  void end(told_process& of) {
    writer->end_process(of.number, of.record, {});
    of.has_ended = true;
  }

  // What the file says now is the end of what was written, from some event on, and what was alive there.
  void expect_true(bool is_complete) {
    auto reader = recording_reader::open(path.path());
    ASSERT_TRUE(reader) << reader.error();
    reader->read_ahead_from(dice.one_in(2) ? 0 : ~0ull);
    std::map<std::size_t, std::vector<event>> seen, alive;
    reader->read(
        [&](std::size_t process, std::span<const event> events) {
          seen[process].insert(seen[process].end(), events.begin(), events.end());
          return true;
        },
        [&](std::size_t process, const record::checkpoint_reader& part) {
          EXPECT_TRUE(seen[process].empty());
          alive[process].insert(alive[process].end(), part.blocks().begin(), part.blocks().end());
        });
    EXPECT_FALSE(reader->run().damage) << *reader->run().damage;
    EXPECT_EQ(reader->run().is_complete, is_complete);
    EXPECT_EQ(reader->run().rotated.has_value(), writer->rotations() != 0);
    ASSERT_EQ(reader->run().processes.size(), told.size());
    for (std::size_t i = 0; i < told.size(); ++i) {
      const recorded_process& process = reader->run().processes[i];
      EXPECT_EQ(process.record.pid, told[i].record.pid);
      EXPECT_EQ(process.is_complete, told[i].has_ended);
      if (process.is_dropped) {
        EXPECT_TRUE(told[i].has_ended && seen[i].empty());
        continue;
      }
      const std::size_t before = process.before ? process.before->events : 0;
      ASSERT_EQ(before + seen[i].size(), told[i].all.size());
      expect_same(alive[i], seen[i], told[i].all);
    }
  }

  test::made_file path;
  test::dice dice{5};
  std::optional<recording_writer> writer;
  std::vector<told_process> told;
  std::map<std::uint32_t, record::slot_table> writer_slots;
  std::uint64_t time_ns = (test::made_start_ns / record::event_time_unit_ns + 10) * record::event_time_unit_ns;
};

TEST_F(RotationTest, WhatIsLeftIsTrueWhereverTheWriterStops) {
  constexpr std::uint64_t most_bytes = 40'000;
  begin({.most_bytes = most_bytes});
  begin_process();
  begin_process();
  for (int step = 0; step < 400; ++step) {
    told_process& to = told[dice.below(static_cast<std::uint32_t>(told.size()))];
    // Grows for a time, shrinks for a time.
    if (!to.has_ended) tell(to, 1 + dice.below(400), step % 100 < 50 ? 4 : 6);
    if (step == 120) end(told[0]);
    if (step == 200) begin_process();
    ASSERT_FALSE(writer->error()) << *writer->error();
    EXPECT_LE(std::filesystem::file_size(path.path()), most_bytes) << step;
    if (step % 5 == 0) expect_true(false);
    if (HasFailure()) return;
  }
  EXPECT_GT(writer->rotations(), 3u);
  for (told_process& one : told)
    if (!one.has_ended) end(one);
  recording run;
  run.end_ns = time_ns;
  writer->end_run(run);
  expect_true(true);
  auto reader = recording_reader::open(path.path());
  ASSERT_TRUE(reader);
  reader->survey();
  EXPECT_TRUE(reader->run().processes[0].is_dropped);
  EXPECT_FALSE(reader->run().processes[2].is_dropped);
}

TEST_F(RotationTest, WithoutLimitsNothingIsDropped) {
  begin({});
  begin_process();
  for (int step = 0; step < 50; ++step) tell(told[0], 500, 5);
  EXPECT_EQ(writer->rotations(), 0u);
  expect_true(false);
}

// More is alive than the file may hold: it is cut as far as can be, seldom, and says so.
TEST_F(RotationTest, WhatIsAliveIsNeverDropped) {
  begin({.most_bytes = 20'000});
  begin_process();
  for (int step = 0; step < 100; ++step) tell(told[0], 500, 0);
  EXPECT_TRUE(writer->is_over_limit());
  EXPECT_LT(writer->rotations(), 100u);
  expect_true(false);
}

// Each reading may begin at any round.
TEST_F(RotationTest, ReadingBeginsAtAnyRound) {
  begin({.most_bytes = 400'000});
  begin_process();
  begin_process();
  for (int step = 0; step < 100; ++step) tell(told[step % 2], 300, step % 40 < 20 ? 4 : 6);
  end(told[0]);
  tell(told[1], 300, 5);
  auto reader = recording_reader::open(path.path());
  ASSERT_TRUE(reader);
  reader->survey();
  const auto rounds = reader->rounds();
  ASSERT_GE(rounds.size(), 2u);
  for (const auto& round : rounds) {
    std::map<std::size_t, std::vector<event>> seen, alive;
    reader->read(
        [&](std::size_t process, std::span<const event> events) {
          seen[process].insert(seen[process].end(), events.begin(), events.end());
          return true;
        },
        [&](std::size_t process, const record::checkpoint_reader& part) {
          alive[process].insert(alive[process].end(), part.blocks().begin(), part.blocks().end());
        },
        round.position_bytes);
    EXPECT_FALSE(reader->run().damage);
    for (std::size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(reader->run().processes[i].before);
      EXPECT_EQ(reader->run().processes[i].before->events + seen[i].size(), told[i].all.size());
      expect_same(alive[i], seen[i], told[i].all);
    }
  }
}

// What was told within the last so long is there, whatever was dropped.
TEST_F(RotationTest, TheLastSoLongIsKept) {
  constexpr std::uint64_t last_ns = 50'000'000;
  begin({.last_ns = last_ns});
  begin_process();
  std::vector<std::pair<std::uint64_t, std::size_t>> told_at;  // when, how many events by then
  const std::uint64_t begin_ns = monotonic_ns();
  // However slow the machine is: until it was cut, and for some time.
  for (int step = 0; step < 2000 && (writer->rotations() == 0 || monotonic_ns() < begin_ns + 4 * last_ns); ++step) {
    tell(told[0], 2000, 5);
    told_at.emplace_back(monotonic_ns(), told[0].all.size());
    // What was told within the last so long is there.
    auto reader = recording_reader::open(path.path());
    ASSERT_TRUE(reader);
    reader->read([](std::size_t, std::span<const event>) { return true; });
    const auto& before = reader->run().processes[0].before;
    for (const auto& [when_ns, count] : told_at) {
      if (when_ns + last_ns <= told_at.back().first) continue;
      EXPECT_LE(before ? before->events : 0, count);
    }
  }
  EXPECT_GT(writer->rotations(), 0u);
  expect_true(false);
}

// A disk that is full while the file is cut: the old one stays, whole.
TEST_F(RotationTest, WhatCannotBeCutStaysAsItIs) {
  begin({.most_bytes = 40'000});
  begin_process();
  // A folder of that name stands where the new file would be written.
  const std::filesystem::path beside =
      path.path().parent_path() / ("." + path.path().filename().string() + ".rotating");
  std::filesystem::create_directory(beside);
  while (!writer->error()) tell(told[0], 500, 5);
  EXPECT_NE(writer->error()->find("could not be made shorter"), std::string::npos) << *writer->error();
  std::filesystem::remove(beside);
  auto reader = recording_reader::open(path.path());
  ASSERT_TRUE(reader);
  reader->survey();
  EXPECT_FALSE(reader->run().damage);
  EXPECT_FALSE(reader->run().rotated);
}

}  // namespace
}  // namespace tenure::collect
