// The live set against a map of what lives, and a checkpoint against the set that it was written from.
#include "instruments/record/live_set.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "support/dice.h"

namespace tenure::record {
namespace {

// Events as a writer makes them: frees of slots that are used, slots of allocations not yet known.
class made_events {
 public:
  explicit made_events(std::uint32_t seed) : dice_(seed) {}

  std::vector<event> next(std::size_t count, std::uint32_t frees_of_ten) {
    std::vector<event> events;
    for (; events.size() < count; time_ns_ += event_time_unit_ns * (1 + dice_.below(5))) {
      event one;
      one.time_ns = time_ns_;
      one.thread = dice_.below(5);
      if (dice_.one_in(50)) {
        one.kind = event_kind::stray_free;
      } else if (!live.empty() && dice_.below(10) < frees_of_ten) {
        one.kind = event_kind::free;
        const auto which =
            std::next(live.begin(), dice_.below(static_cast<std::uint32_t>(std::min<std::size_t>(live.size(), 50))));
        one.slot = which->first;
        slots_.give(one.slot);
        live.erase(which);
      } else {
        one.stack = dice_.below(1000);
        one.bytes = dice_.below(1u << dice_.below(30));
        one.entry = static_cast<std::uint8_t>(1 + dice_.below(7));
        event known = one;
        known.slot = slots_.take();
        live[known.slot] = known;
      }
      events.push_back(one);
    }
    return events;
  }

  std::map<std::uint32_t, event> live;  // by slot

 private:
  test::dice dice_;
  slot_table slots_;
  std::uint64_t time_ns_ = 1'000'000 * event_time_unit_ns;
};

std::vector<std::vector<std::uint8_t>> parts_of(const live_set& set) {
  std::vector<std::vector<std::uint8_t>> parts;
  set.write_checkpoint([&](std::span<const std::uint8_t> part) { parts.emplace_back(part.begin(), part.end()); });
  return parts;
}

struct read_checkpoint {
  told_figures told;
  slot_table slots;
  std::vector<event> blocks;
};

std::optional<read_checkpoint> put_together(const std::vector<std::vector<std::uint8_t>>& parts) {
  checkpoint_reader reader;
  std::vector<event> blocks;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto state = reader.take(parts[i]);
    if (state == checkpoint_reader::state::broken) return std::nullopt;
    EXPECT_EQ(state == checkpoint_reader::state::complete, i + 1 == parts.size());
    EXPECT_EQ(reader.is_first(), i == 0);
    blocks.insert(blocks.end(), reader.blocks().begin(), reader.blocks().end());
  }
  return read_checkpoint{reader.told(), reader.slots(), std::move(blocks)};
}

void expect_same(const read_checkpoint& read, const live_set& set) {
  EXPECT_EQ(read.told, set.told());
  EXPECT_EQ(read.slots.size(), set.slots().size());
  EXPECT_EQ(read.slots.given(), set.slots().given());
  std::vector<event> blocks;
  set.for_each([&](const event& one) { blocks.push_back(one); });
  EXPECT_EQ(read.blocks, blocks);
}

TEST(LiveSet, HoldsWhatLives) {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    made_events made(seed);
    live_set set;
    for (int round = 0; round < 10; ++round) {
      std::vector<event> events = made.next(500, round < 5 ? 3 : 7);
      ASSERT_TRUE(set.follow(events));
      ASSERT_EQ(set.live_count(), made.live.size());
      auto expected = made.live.begin();
      set.for_each([&](const event& one) { EXPECT_EQ(one, (expected++)->second); });
    }
    EXPECT_EQ(set.told().events, 5000u);
  }
}

TEST(LiveSet, AFreeOfNoSlotIsRefused) {
  live_set set;
  std::vector<event> events(1);
  events[0].kind = event_kind::free;
  EXPECT_FALSE(set.follow(events));
}

// Whoever begins at a checkpoint goes on as if it had been there all the time.
TEST(LiveSet, ACheckpointIsTheSet) {
  for (std::uint32_t seed = 11; seed <= 15; ++seed) {
    made_events made(seed);
    live_set set;
    for (int round = 0; round < 10; ++round) {
      std::vector<event> events = made.next(300, round < 5 ? 3 : 8);
      ASSERT_TRUE(set.follow(events));
      auto again = put_together(parts_of(set));
      ASSERT_TRUE(again);
      expect_same(*again, set);
      std::vector<event> later = made.next(300, 5), same = later;
      ASSERT_TRUE(set.follow(later));
      for (event& one : same) {
        if (one.kind == event_kind::allocation) one.slot = again->slots.take();
        if (one.kind == event_kind::free && !again->slots.give(one.slot)) ADD_FAILURE() << one.slot;
      }
      EXPECT_EQ(later, same);
    }
  }
}

TEST(LiveSet, ALargeOneHasSeveralParts) {
  live_set set;
  std::vector<event> events(event_block_limit + 1000);
  for (std::size_t i = 0; i < events.size(); ++i) events[i].bytes = i;
  ASSERT_TRUE(set.follow(events));
  const auto parts = parts_of(set);
  EXPECT_EQ(parts.size(), 2u);
  const auto again = put_together(parts);
  ASSERT_TRUE(again);
  expect_same(*again, set);
  EXPECT_FALSE(put_together({parts[1]}));
}

TEST(LiveSet, BytesThatAreNoCheckpointAreRefusedOrMakeOne) {
  made_events made(3);
  live_set set;
  std::vector<event> events = made.next(200, 4);
  ASSERT_TRUE(set.follow(events));
  const auto whole = parts_of(set)[0];
  for (std::size_t length = 0; length < whole.size(); ++length) {
    checkpoint_reader reader;
    EXPECT_EQ(reader.take(std::span(whole).first(length)), checkpoint_reader::state::broken) << length;
  }
  test::dice dice(4);
  for (int i = 0; i < 2000; ++i) {
    auto changed = whole;
    changed[dice.below(static_cast<std::uint32_t>(changed.size()))] ^= static_cast<std::uint8_t>(1u << dice.below(8));
    checkpoint_reader reader;
    if (reader.take(changed) != checkpoint_reader::state::complete) continue;
    EXPECT_EQ(reader.blocks().size(), reader.slots().size() - reader.slots().given().size());
  }
}

}  // namespace
}  // namespace tenure::record
