// The recording's file: what was written is read; what was cut off or flipped is found, and everything before it kept.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "instruments/record/block_file.h"
#include "instruments/record/event_block.h"
#include "instruments/record/slot_table.h"
#include "support/dice.h"

namespace tenure::record {
namespace {

std::vector<event> thrown_events(test::dice& dice, std::size_t count, bool tells_free_stacks = false) {
  std::vector<event> events;
  std::uint64_t time = 1'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    event one;
    time += dice.below(3) * event_time_unit_ns;
    if (dice.one_in(100)) time -= event_time_unit_ns * dice.below(50);
    one.time_ns = time / event_time_unit_ns * event_time_unit_ns;
    one.thread = dice.below(4);
    one.kind = static_cast<event_kind>(dice.below(3));
    if (one.kind == event_kind::allocation) {
      one.stack = dice.below(100'000);
      one.bytes = std::uint64_t{dice()} << dice.below(16);
      one.entry = static_cast<std::uint8_t>(dice.below(8));
    } else {
      if (one.kind == event_kind::free) one.slot = dice();
      if (tells_free_stacks && !dice.one_in(5)) one.stack = dice.below(100'000);
    }
    events.push_back(one);
  }
  return events;
}

class RecordFile : public ::testing::Test {
 protected:
  RecordFile() : path(std::filesystem::path(::testing::TempDir()) / ("record_file_test." + std::to_string(getpid()))) {}
  ~RecordFile() override { std::filesystem::remove(path); }

  // Ten blocks of their own content; where each one ends.
  void write_ten() {
    auto writer = block_writer::create(path);
    ASSERT_TRUE(writer) << writer.error();
    for (std::uint32_t i = 1; i <= 10; ++i) {
      const std::vector<std::uint8_t> payload(i * 500, static_cast<std::uint8_t>(i));
      writer->write(block_kind::events, i, payload);
      ends.push_back(writer->written_bytes());
    }
    ASSERT_FALSE(writer->error());
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
    ASSERT_EQ(bytes.size(), ends.back());
  }

  // How many blocks can be read, each as it was written; and whether the reader says that something is wrong.
  static std::size_t good_blocks(std::span<const std::uint8_t> of, bool* is_damaged) {
    auto reader = block_reader::over(of);
    EXPECT_TRUE(reader);
    std::size_t count = 0;
    while (const auto block = reader->next()) {
      ++count;
      EXPECT_EQ(block->process, count);
      EXPECT_EQ(block->payload.size(), count * 500);
      for (const std::uint8_t byte : block->payload) EXPECT_EQ(byte, count);
    }
    *is_damaged = reader->damage().has_value();
    EXPECT_FALSE(reader->next());
    return count;
  }

  std::filesystem::path path;
  std::vector<std::uint8_t> bytes;
  std::vector<std::size_t> ends;
};

TEST_F(RecordFile, GivesBackWhatWasWritten) {
  write_ten();
  auto reader = block_reader::open(path);
  ASSERT_TRUE(reader) << reader.error();
  for (int turn = 0; turn < 2; ++turn) {
    for (std::uint32_t i = 1; i <= 10; ++i) {
      const auto block = reader->next();
      ASSERT_TRUE(block);
      EXPECT_EQ(block->kind, block_kind::events);
      EXPECT_EQ(block->process, i);
      EXPECT_EQ(block->payload.size(), i * 500);
    }
    EXPECT_FALSE(reader->next());
    EXPECT_FALSE(reader->damage());
    reader->rewind();
  }
}

TEST_F(RecordFile, IsGoodUpToItsLastCompleteBlockWhereverItIsCut) {
  write_ten();
  for (std::size_t length = sizeof(file_header); length <= bytes.size(); ++length) {
    std::size_t complete = 0;
    while (complete < ends.size() && ends[complete] <= length) ++complete;
    bool is_damaged = false;
    EXPECT_EQ(good_blocks(std::span(bytes).first(length), &is_damaged), complete);
    const bool is_between = length == sizeof(file_header) || (complete != 0 && ends[complete - 1] == length);
    EXPECT_EQ(is_damaged, !is_between) << length;
  }
}

TEST_F(RecordFile, FindsEveryBitThatWasFlipped) {
  write_ten();
  for (std::size_t at = sizeof(file_header); at < bytes.size(); ++at) {
    std::size_t before = 0;
    while (ends[before] <= at) ++before;
    bytes[at] ^= static_cast<std::uint8_t>(1 << at % 8);
    bool is_damaged = false;
    EXPECT_EQ(good_blocks(bytes, &is_damaged), before);
    EXPECT_TRUE(is_damaged) << at;
    bytes[at] ^= static_cast<std::uint8_t>(1 << at % 8);
  }
}

TEST_F(RecordFile, SaysWhatIsNoRecording) {
  std::ofstream(path) << "this is a text, and longer than a header";
  const auto text = block_reader::open(path);
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().find("does not begin as a recording"), std::string::npos) << text.error();
  EXPECT_FALSE(block_reader::open(path / "nothing"));
  file_header newer{file_magic, file_version + 1, 0};
  const auto future = block_reader::over({reinterpret_cast<const std::uint8_t*>(&newer), sizeof newer});
  ASSERT_FALSE(future);
  EXPECT_NE(future.error().find("newer"), std::string::npos);
}

TEST_F(RecordFile, SaysThatTheDiskIsFull) {
  auto writer = block_writer::create("/dev/full");
  ASSERT_FALSE(writer);
  EXPECT_NE(writer.error().find("No space"), std::string::npos) << writer.error();
}

TEST(EventBlock, GivesBackItsEvents) {
  test::dice dice(5);
  for (const std::size_t count : {0, 1, 2, 1000, 50'000}) {
    for (const bool tells_free_stacks : {false, true}) {
      const auto events = thrown_events(dice, count, tells_free_stacks);
      const byte_writer block = encode_events(events);
      std::vector<event> read;
      ASSERT_TRUE(decode_events(block.bytes(), read));
      EXPECT_EQ(read, events);
    }
  }
}

// Byte for byte what version 4 of the format wrote: one allocation and its free.
TEST(EventBlock, IsThatOfVersionFourWhereNoStackOfAFreeIsTold) {
  const std::vector<event> events = {{event_kind::allocation, 1, 0, 7, 0, 100, 1280},
                                     {event_kind::free, 0, 2, no_stack, 5, 0, 1536}};
  const std::vector<std::uint8_t> expected = {2,                // events
                                              2, 0,   1,        // kinds
                                              2, 20,  4,        // times: +10 and +2 units, zigzagged
                                              4, 0,   1, 2, 1,  // threads: once 0, once 2
                                              1, 7,             // stack
                                              1, 100,           // bytes
                                              2, 1,   1,        // entries: once malloc
                                              1, 10};           // slot: 5, zigzagged
  const byte_writer block = encode_events(events);
  EXPECT_EQ(std::vector(block.bytes().begin(), block.bytes().end()), expected);
  std::vector<event> read;
  ASSERT_TRUE(decode_events(expected, read));
  EXPECT_EQ(read.at(1).stack, no_stack);
  // With one, a column more.
  std::vector<event> told = events;
  told[1].stack = 7;
  std::vector<std::uint8_t> longer = expected;
  longer.insert(longer.end(), {1, 8});
  const byte_writer with_stack = encode_events(told);
  EXPECT_EQ(std::vector(with_stack.bytes().begin(), with_stack.bytes().end()), longer);
}

TEST(EventBlock, RefusesStacksOfFreesThatAreTooFewOrTooGreat) {
  test::dice dice(8);
  const byte_writer block = encode_events(thrown_events(dice, 300, true));
  const byte_writer without = encode_events(thrown_events(dice, 300));
  std::vector<event> read;
  std::size_t whole = 0;
  for (std::size_t length = 0; length < block.size(); ++length)
    whole += decode_events(block.bytes().first(length), read) ? 1 : 0;
  EXPECT_EQ(whole, 1u);  // that without the column
  for (const std::vector<std::uint8_t>& column :
       {std::vector<std::uint8_t>{1, 0}, {6, 0x80, 0x80, 0x80, 0x80, 0x10, 0}, {1, 0x80}}) {
    std::vector<std::uint8_t> broken(without.bytes().begin(), without.bytes().end());
    broken.insert(broken.end(), column.begin(), column.end());
    EXPECT_FALSE(decode_events(broken, read));
  }
}

TEST(EventBlock, RefusesWhatIsCutOffAndReadsNothingBeyond) {
  test::dice dice(6);
  const byte_writer block = encode_events(thrown_events(dice, 300));
  std::vector<event> read;
  for (std::size_t length = 0; length < block.size(); ++length) {
    const std::vector<std::uint8_t> cut(block.bytes().begin(), block.bytes().begin() + static_cast<long>(length));
    EXPECT_FALSE(decode_events(cut, read)) << length;
  }
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> broken(block.bytes().begin(), block.bytes().end());
    for (std::uint32_t flips = 1 + dice.below(4); flips-- != 0;)
      broken[dice.below(static_cast<std::uint32_t>(broken.size()))] = static_cast<std::uint8_t>(dice());
    decode_events(broken, read);
    EXPECT_LE(read.size(), event_block_limit);
  }
}

TEST(SlotTable, GivesNoSlotTwiceAndNoMoreThanAreNeeded) {
  test::dice dice(9);
  slot_table slots;
  std::vector<std::uint32_t> held;
  std::set<std::uint32_t> in_use;
  std::size_t most = 0;
  for (int i = 0; i < 50'000; ++i) {
    if (held.empty() || dice.below(5) < 3) {
      held.push_back(slots.take());
      EXPECT_TRUE(in_use.insert(held.back()).second);
    } else {
      std::swap(held[dice.below(static_cast<std::uint32_t>(held.size()))], held.back());
      EXPECT_TRUE(slots.give(held.back()));
      EXPECT_FALSE(slots.give(held.back()));
      in_use.erase(held.back());
      held.pop_back();
    }
    most = std::max(most, held.size());
  }
  EXPECT_EQ(slots.size(), most);
  EXPECT_FALSE(slots.give(1'000'000));
}

// All but one of the allocations before the free slots are put in order.
slot_table about_to_be_ordered(slot_table::order order) {
  slot_table slots(order);
  for (std::uint64_t i = 1; i < slot_table::taken_between_orders; ++i) {
    const std::uint32_t slot = slots.take();
    if (slot >= 1000 && !slots.give(slot)) ADD_FAILURE() << slot;
  }
  return slots;
}

TEST(SlotTable, ForgetsThePeakAndTakesTheLowestWhereItIsPutInOrder) {
  slot_table slots = about_to_be_ordered(slot_table::order::renewed);
  for (const std::uint32_t slot : {5u, 700u, 64u, 128u, 999u, 998u, 127u}) EXPECT_TRUE(slots.give(slot));
  EXPECT_EQ(slots.size(), 1001u);
  EXPECT_EQ(slots.take(), 5u);
  EXPECT_EQ(slots.size(), 998u);
  EXPECT_EQ(slots.given(), (std::vector<std::uint32_t>{700, 128, 127, 64}));
  for (const std::uint32_t slot : {64u, 127u, 128u, 700u, 998u, 999u}) EXPECT_EQ(slots.take(), slot);
  // Until it is due again, what was given back last is taken first.
  EXPECT_TRUE(slots.give(3) && slots.give(900) && slots.give(17));
  for (const std::uint32_t slot : {17u, 900u, 3u}) EXPECT_EQ(slots.take(), slot);
}

TEST(SlotTable, OfAnOldRecordingIsNeverPutInOrder) {
  slot_table slots = about_to_be_ordered(slot_table::order::never);
  EXPECT_TRUE(slots.give(5) && slots.give(700));
  EXPECT_EQ(slots.take(), 700u);
  EXPECT_EQ(slots.size(), 1001u);
}

TEST(SlotTable, IsPutInOrderAtTheSameAllocationWhereItWasRestored) {
  slot_table slots = about_to_be_ordered(slot_table::order::renewed), again;
  EXPECT_TRUE(slots.give(5) && slots.give(700));
  ASSERT_TRUE(again.restore(slots.size(), slots.given(), slot_table::taken_between_orders - 1));
  EXPECT_EQ(slots.take(), 5u);
  EXPECT_EQ(again.take(), 5u);
  EXPECT_EQ(again.given(), slots.given());
  EXPECT_EQ(again.size(), 1000u);
}

}  // namespace
}  // namespace tenure::record
