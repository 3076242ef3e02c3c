// Recordings that are long enough to be put in order: their free slots, and the places where reading may begin.
#include "instruments/collect/recording_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::collect {
namespace {

using record::event;
using record::event_kind;
using record::slot_table;

// Each block has a size of its own, so that a free of the wrong slot is seen.
class LongRecordingTest : public ::testing::Test {
 protected:
  // A peak of which little is left, blocks that come and go until the free slots have been put in order, and then all
  // that is left goes.
  void write(slot_table::order order) {
    auto file = record::block_writer::create(path.path());
    ASSERT_TRUE(file) << file.error();
    recording_writer writer(std::move(*file));
    const process_record process = test::made_process();
    writer.begin_run({}, {"made"});
    const std::uint32_t number = writer.begin_process(process);
    slot_table slots(order);
    std::map<std::uint64_t, std::uint32_t> live;  // slots by size
    std::vector<event> events;
    const auto flush = [&] {
      writer.write_events(number, process, events);
      events.clear();
    };
    const auto tell = [&](event one) {
      one.time_ns = process.start_ns / 128 * 128 + 128 * ++told;
      events.push_back(one);
      if (events.size() == 50'000) flush();
    };
    const auto allocate = [&] {
      live[++allocated] = slots.take();
      tell({.kind = event_kind::allocation, .stack = 1, .bytes = allocated});
    };
    const auto free = [&](std::uint64_t bytes) {
      const auto which = live.find(bytes);
      slots.give(which->second);
      freed.push_back(bytes);
      tell({.kind = event_kind::free, .slot = which->second});
      live.erase(which);
    };
    test::dice dice(7);
    while (allocated < peak_blocks) allocate();
    for (std::uint64_t bytes = 1; bytes <= peak_blocks; ++bytes)
      if (!dice.one_in(10)) free(bytes);
    while (allocated < slot_table::taken_between_orders + 100'000) {
      allocate();
      free(dice.one_in(100) ? live.begin()->first : allocated);
    }
    while (!live.empty()) free(live.rbegin()->first);
    flush();
  }

  // The version of the format that the file says it has.
  void set_version(std::uint32_t version) {
    std::fstream file(path.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8);
    file.write(reinterpret_cast<const char*>(&version), sizeof version);
  }

  // Whether the blocks that are freed, from `from_bytes` of the file on, are the last that were.
  bool frees_are_true(recording_reader& reader, std::uint64_t from_bytes) {
    std::map<std::uint32_t, std::uint64_t> live;  // sizes by slot
    std::vector<std::uint64_t> seen;
    reader.read(
        [&](std::size_t, std::span<const event> events) {
          for (const event& one : events) {
            if (one.kind == event_kind::allocation) live[one.slot] = one.bytes;
            if (one.kind == event_kind::free) seen.push_back(live[one.slot]);
          }
          return true;
        },
        [&](std::size_t, const record::checkpoint_reader& part) {
          for (const event& one : part.blocks()) live[one.slot] = one.bytes;
        },
        from_bytes);
    return !reader.run().damage && !seen.empty() && seen.size() <= freed.size() &&
           std::equal(seen.rbegin(), seen.rend(), freed.rbegin());
  }

  static constexpr std::uint64_t peak_blocks = 5000;
  test::made_file path;
  std::uint64_t told = 0, allocated = 0;
  std::vector<std::uint64_t> freed;  // sizes
};

TEST_F(LongRecordingTest, IsReadFromItsBeginningAndFromEachRound) {
  write(slot_table::order::renewed);
  auto reader = recording_reader::open(path.path());
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_TRUE(frees_are_true(*reader, 0));
  reader->survey();
  // It has few bytes: that many events have come is why.
  const auto rounds = reader->rounds();
  EXPECT_FALSE(rounds.empty());
  for (const auto& round : rounds) EXPECT_TRUE(frees_are_true(*reader, round.position_bytes));
}

TEST_F(LongRecordingTest, OfAnOldVersionHasSlotsThatAreNeverPutInOrder) {
  write(slot_table::order::never);
  set_version(7);
  auto old = recording_reader::open(path.path());
  ASSERT_TRUE(old) << old.error();
  EXPECT_TRUE(frees_are_true(*old, 0));
  set_version(8);
  auto other = recording_reader::open(path.path());
  ASSERT_TRUE(other) << other.error();
  EXPECT_FALSE(frees_are_true(*other, 0));
}

}  // namespace
}  // namespace tenure::collect
