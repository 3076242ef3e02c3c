#include "core/telemetry/tape_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <thread>
#include <vector>

#include "support/dice.h"
#include "wire/tape_reader.h"

namespace tenure::telemetry {
namespace {

struct kept_ring {
  explicit kept_ring(std::uint64_t capacity_words) : words(capacity_words) {
    ring.attach(&header, words.data(), capacity_words, nullptr);
  }
  std::vector<wire::tape_record> read(wire::tape_ring_reader& reader) {
    std::vector<std::uint64_t> taken;
    EXPECT_TRUE(reader.take(
        [&](const std::uint64_t* from, std::uint64_t count) { taken.insert(taken.end(), from, from + count); }));
    std::vector<wire::tape_record> records;
    for (std::size_t at = 0; at < taken.size();) {
      wire::tape_record one;
      const std::uint64_t length = wire::decode_tape_record(&taken[at], taken.size() - at, &one);
      if (length == 0) ADD_FAILURE() << "no record at word " << at;
      if (length == 0) break;
      records.push_back(one);
      at += length;
    }
    return records;
  }
  wire::tape_ring_header header{};
  std::vector<std::uint64_t> words;
  tape_ring ring;
};

bool same(const wire::tape_record& a, const wire::tape_record& b) {
  return a.kind == b.kind && a.entry == b.entry && a.stack == b.stack && a.address == b.address && a.ticks == b.ticks &&
         a.bytes == b.bytes;
}

void write(tape_ring& ring, const wire::tape_record& record) {
  switch (record.kind) {
    case wire::tape_kind::free:
      return ring.write_free(record.address, record.ticks);
    case wire::tape_kind::free_with_stack:
      return ring.write_free_with_stack(record.address, record.ticks, record.stack);
    case wire::tape_kind::free_range_with_stack:
      return ring.write_free_range_with_stack(record.address, record.bytes, record.ticks, record.stack);
    case wire::tape_kind::thread:
      return ring.write_thread(static_cast<std::uint32_t>(record.address), record.ticks);
    case wire::tape_kind::free_range:
      return ring.write_free_range(record.address, record.bytes, record.ticks);
    default:
      return ring.write_allocation(record.address, record.ticks, record.stack, record.bytes,
                                   static_cast<wire::allocation_entry>(record.entry));
  }
}

wire::tape_record thrown(test::dice& dice, std::uint64_t ticks) {
  wire::tape_record record;
  record.ticks = ticks;
  record.address = 0x7f1234560000 + std::uint64_t{dice.below(1 << 20)} * 16;
  switch (dice.below(10)) {
    case 0:
      record.kind = wire::tape_kind::thread;
      record.address = 1 + dice.below(100'000);
      break;
    case 1:
      record.kind = wire::tape_kind::free_range;
      record.bytes = 1 << 14;
      break;
    case 2:
      record.kind = wire::tape_kind::wide_allocation;
      record.bytes = wire::tape_narrow_limit_bytes + dice.below(1 << 30);
      break;
    case 3:
    case 4:
      record.kind = wire::tape_kind::free;
      break;
    case 5:
      record.kind = wire::tape_kind::free_with_stack;
      record.stack = dice.below(wire::stack_node_capacity);
      break;
    case 6:
      record.kind = wire::tape_kind::free_range_with_stack;
      record.stack = dice.below(wire::stack_node_capacity);
      record.bytes = std::uint64_t{1} << (12 + dice.below(30));
      break;
    default:
      record.kind = wire::tape_kind::allocation;
      record.bytes = dice();
  }
  if (record.kind == wire::tape_kind::allocation || record.kind == wire::tape_kind::wide_allocation) {
    record.stack = dice.below(wire::stack_node_capacity);
    record.entry = dice.below(8);
  }
  return record;
}

TEST(tape_ring, gives_back_what_was_written_over_many_laps) {
  kept_ring kept(64);
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 64);
  test::dice dice(3);
  std::deque<wire::tape_record> expected;
  std::uint64_t refused = 0;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const wire::tape_record record = thrown(dice, i);
    if (kept.ring.has_room(wire::tape_record_limit_words)) {
      write(kept.ring, record);
      expected.push_back(record);
    } else {
      ++refused;
    }
    kept.ring.check();
    if (dice.below(12) != 0) continue;
    for (const wire::tape_record& read : kept.read(reader)) {
      ASSERT_TRUE(same(read, expected.front()));
      expected.pop_front();
    }
    ASSERT_TRUE(expected.empty());
  }
  EXPECT_GT(refused, 0u);
}

TEST(tape_ring, counts_what_is_lost) {
  kept_ring kept(8);
  EXPECT_TRUE(kept.ring.has_room(4));
  kept.ring.count_lost_allocation(100);
  kept.ring.count_lost_allocation(20);
  kept.ring.count_lost_free();
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 8);
  EXPECT_EQ(reader.lost().allocations, 2u);
  EXPECT_EQ(reader.lost().bytes, 120u);
  EXPECT_EQ(reader.lost().frees, 1u);
}

TEST(tape_ring, a_thread_says_what_was_lost_before_it) {
  kept_ring kept(32);
  const auto begin = [&](std::uint32_t thread_id) {
    ASSERT_TRUE(kept.ring.has_room(wire::tape_record_limit_words));
    kept.ring.write_thread(thread_id, thread_id);
  };
  begin(1);
  kept.ring.count_lost_allocation(100);
  kept.ring.count_lost_free();
  begin(2);
  kept.ring.count_lost_allocation(20);
  kept.ring.count_lost_allocation(5);
  begin(3);
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 32);
  const auto records = kept.read(reader);
  ASSERT_EQ(records.size(), 3u);
  const auto counts = [](const wire::tape_record& one) {
    return std::array{one.address, one.lost.allocations, one.lost.bytes, one.lost.frees};
  };
  EXPECT_EQ(counts(records[0]), (std::array<std::uint64_t, 4>{1, 0, 0, 0}));
  EXPECT_EQ(counts(records[1]), (std::array<std::uint64_t, 4>{2, 1, 100, 1}));
  EXPECT_EQ(counts(records[2]), (std::array<std::uint64_t, 4>{3, 3, 125, 1}));
}

TEST(tape_ring, goes_on_for_the_next_thread_where_the_last_one_stopped) {
  kept_ring kept(16);
  ASSERT_TRUE(kept.ring.has_room(4));
  kept.ring.write_free(0x10, 1);
  tape_ring next;
  next.attach(&kept.header, kept.words.data(), 16, nullptr);
  ASSERT_TRUE(next.has_room(4));
  next.write_free(0x20, 2);
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 16);
  const auto records = kept.read(reader);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].address, 0x10u);
  EXPECT_EQ(records[1].address, 0x20u);
}

TEST(tape_ring, has_no_room_where_the_reader_says_nonsense) {
  kept_ring kept(16);
  kept.header.tail = 1000;
  EXPECT_FALSE(kept.ring.has_room(2));
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 16);
  kept.header.head = 5;
  EXPECT_FALSE(reader.take([](const std::uint64_t*, std::uint64_t) {}));
}

bool refuse(std::byte*, std::size_t) noexcept { return false; }

TEST(tape_ring, has_no_room_where_there_are_no_pages) {
  kept_ring kept(16);
  tape_ring poor;
  wire::tape_ring_header header{};
  poor.attach(&header, kept.words.data(), 16, refuse);
  EXPECT_FALSE(poor.has_room(2));
}

TEST(tape_ring, loses_nothing_between_two_threads) {
  constexpr std::uint64_t record_count = 400'000;
  kept_ring kept(1 << 10);
  std::thread writer([&] {
    test::dice dice(11);
    for (std::uint64_t i = 0; i < record_count; ++i) {
      const wire::tape_record record = thrown(dice, i);
      while (!kept.ring.has_room(wire::tape_record_limit_words)) std::this_thread::yield();
      write(kept.ring, record);
    }
  });
  wire::tape_ring_reader reader(&kept.header, kept.words.data(), 1 << 10);
  test::dice dice(11);
  std::uint64_t seen = 0;
  while (seen < record_count) {
    for (const wire::tape_record& read : kept.read(reader)) {
      if (!same(read, thrown(dice, seen))) ADD_FAILURE() << "record " << seen;
      ++seen;
    }
  }
  writer.join();
  EXPECT_EQ(seen, record_count);
}

}  // namespace
}  // namespace tenure::telemetry
