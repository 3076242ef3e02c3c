// Blocks that are unpacked ahead are those that are read one by one, whoever is quicker, and whoever stops first.
#include "instruments/record/blocks_ahead.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "support/dice.h"

namespace tenure::record {
namespace {

class BlocksAheadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path =
        std::filesystem::path(::testing::TempDir()) /
        ("ahead." + std::to_string(::getpid()) + "." + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    auto file = block_writer::create(path);
    ASSERT_TRUE(file) << file.error();
    for (std::uint32_t i = 0; i < block_count; ++i) {
      if (dice.one_in(3)) {
        byte_writer text;
        text.text(std::string(dice.below(5000), static_cast<char>('a' + i % 26)));
        file->write(block_kind::dictionary, i + 1, text.bytes());
        continue;
      }
      std::vector<event> events;
      for (std::uint32_t left = 1 + dice.below(3000); left != 0; --left) {
        event one;
        one.time_ns = event_time_unit_ns * dice.below(1u << 30);
        one.bytes = dice.below(1u << 20);
        one.stack = dice.below(1000);
        one.thread = dice.below(4);
        events.push_back(one);
      }
      file->write(block_kind::events, i + 1, encode_events(events).bytes());
    }
  }
  void TearDown() override { std::filesystem::remove(path); }

  block_reader open() {
    auto file = block_reader::open(path);
    EXPECT_TRUE(file) << file.error();
    return std::move(*file);
  }
  // `pauses`: now and then the reader is the slower one.
  void expect_same_blocks(bool pauses) {
    block_reader plain = open(), read = open();
    blocks_ahead ahead(read, [](std::uint64_t) {});
    std::uint32_t count = 0;
    for (unpacked_block expected; unpack_next(plain, expected); ++count) {
      if (pauses && dice.one_in(10)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const unpacked_block* const found = ahead.next();
      ASSERT_NE(found, nullptr);
      ASSERT_EQ(found->what.kind, expected.what.kind);
      ASSERT_EQ(found->what.process, expected.what.process);
      ASSERT_EQ(found->begin_bytes, expected.begin_bytes);
      ASSERT_EQ(found->end_bytes, expected.end_bytes);
      ASSERT_EQ(found->payload, expected.payload);
      ASSERT_EQ(found->events, expected.events);
      ASSERT_EQ(found->makes_sense, expected.makes_sense);
    }
    EXPECT_EQ(ahead.next(), nullptr);
    EXPECT_EQ(ahead.next(), nullptr);
    EXPECT_LE(count, block_count);
  }

  static constexpr std::uint32_t block_count = 200;
  std::filesystem::path path;
  test::dice dice{11};
};

TEST_F(BlocksAheadTest, AreTheSameInTheSameOrder) {
  expect_same_blocks(false);
  expect_same_blocks(true);
}

TEST_F(BlocksAheadTest, EndWhereTheFileIsDamaged) {
  const auto size = std::filesystem::file_size(path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(size / 2));
  file.put('?').put('!').put('?');
  file.close();
  expect_same_blocks(false);
  std::filesystem::resize_file(path, size / 3);
  expect_same_blocks(false);
}

TEST_F(BlocksAheadTest, MayBeLeftAtAnyPlace) {
  for (const std::uint32_t taken : {0u, 1u, 3u, 4u, 5u, 50u}) {
    block_reader read = open();
    blocks_ahead ahead(read, [](std::uint64_t) {});
    for (std::uint32_t i = 0; i < taken; ++i) ASSERT_NE(ahead.next(), nullptr);
  }
}

TEST_F(BlocksAheadTest, HandOnWhatIsThrownOnTheirThread) {
  block_reader read = open();
  int calls = 0;
  blocks_ahead ahead(read, [&](std::uint64_t) {
    if (++calls == 3) throw std::runtime_error("no more");
  });
  EXPECT_NE(ahead.next(), nullptr);
  EXPECT_NE(ahead.next(), nullptr);
  EXPECT_THROW(ahead.next(), std::runtime_error);
}

// What is asked for from some place on is unpacked from there on.
TEST_F(BlocksAheadTest, AreAskedForBeforeEach) {
  block_reader plain = open(), read = open();
  std::uint64_t place = 0;
  unpacked_block expected;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(unpack_next(plain, expected));
  place = plain.position();
  read.skip_payloads_of({block_kind::events}, block_reader::skipping::passes_over);
  blocks_ahead ahead(read, [&](std::uint64_t position) {
    if (position == place) read.skip_payloads_of({});
  });
  std::uint64_t events_before = 0, events_behind = 0;
  while (const unpacked_block* const one = ahead.next())
    (one->begin_bytes < place ? events_before : events_behind) += one->events.size();
  EXPECT_EQ(events_before, 0u);
  EXPECT_NE(events_behind, 0u);
}

}  // namespace
}  // namespace tenure::record
