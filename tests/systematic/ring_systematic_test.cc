// The event ring, step by step: writers and the reader stop between any two steps of the protocol, as a seed says.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "core/telemetry/ring.h"
#include "rounds.h"
#include "systematic.h"
#include "wire/ring_reader.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

struct pause {
  void operator()() const noexcept { systematic::yield(); }
};
using stopped_reader = wire::basic_ring_reader<pause>;

constexpr std::size_t capacity_bytes = 512;
constexpr std::uint32_t writers = 3;
constexpr std::uint64_t each = 12;

struct ring_under_test {
  ring_under_test() { writer.attach(&header, records(), capacity_bytes, nullptr); }
  std::byte* records() { return reinterpret_cast<std::byte*>(words); }

  // An event whose body repeats who wrote it and its number; lengths vary, so that laps end with padding.
  void write(std::uint32_t thread, std::uint64_t number) {
    wire::free_sample_event event{};
    event.frame_count = static_cast<std::uint32_t>((number + thread) % 5);
    const std::size_t bytes = sizeof event + event.frame_count * sizeof(std::uint64_t);
    std::byte* record = writer.reserve(bytes);
    if (record == nullptr) return writer.count_dropped(1);
    event.thread_id = thread;
    event.sample_id = number;
    std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&event) + 8, sizeof event - 8);
    for (std::uint32_t i = 0; i < event.frame_count; ++i) {
      const std::uint64_t frame = number << 8 | thread;
      std::memcpy(record + sizeof event + i * sizeof frame, &frame, sizeof frame);
    }
    writer.publish(record, wire::event_kind::free_sample, bytes);
  }

  wire::ring_header header{};
  alignas(8) std::uint64_t words[capacity_bytes / 8] = {};
  telemetry::ring_writer writer;
};

// Checks each event it is given: whole, and each writer's numbers in their order.
struct checker {
  void operator()(std::span<const std::byte> bytes) {
    wire::free_sample_event event;
    std::span<const std::uint64_t> frames;
    ASSERT_TRUE(wire::decode(bytes, &event, &frames));
    ASSERT_LT(event.thread_id, writers);
    ASSERT_GE(event.sample_id, next[event.thread_id]);
    next[event.thread_id] = event.sample_id + 1;
    ASSERT_EQ(frames.size(), (event.sample_id + event.thread_id) % 5);
    for (const std::uint64_t frame : frames) ASSERT_EQ(frame, event.sample_id << 8 | event.thread_id);
    ++taken;
  }
  std::uint64_t next[writers] = {};
  std::uint64_t taken = 0;
};

TEST(ring_systematic, every_event_is_read_once_and_whole_or_counted_as_dropped) {
  std::uint64_t dropped = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(400u); ++seed) {
    ring_under_test ring;
    checker check;
    stopped_reader reader(&ring.header, ring.records(), capacity_bytes);
    systematic threads(seed);
    for (std::uint32_t thread = 0; thread < writers; ++thread) {
      threads.add([&ring, thread] {
        for (std::uint64_t i = 0; i < each; ++i) ring.write(thread, i);
      });
    }
    threads.add([&] {
      for (int i = 0; i < 30; ++i) {
        reader.drain([&](std::span<const std::byte> bytes) { check(bytes); });
        systematic::yield();
      }
    });
    threads.run();
    reader.drain([&](std::span<const std::byte> bytes) { check(bytes); });
    ASSERT_EQ(check.taken + ring.header.dropped_events, writers * each) << "seed " << seed;
    ASSERT_EQ(check.taken, ring.header.written_events) << "seed " << seed;
    ASSERT_EQ(ring.header.head, ring.header.tail) << "seed " << seed;
    ASSERT_EQ(reader.losses().bytes, 0u) << "seed " << seed;
    for (const std::uint64_t word : ring.words) ASSERT_EQ(word, 0u) << "seed " << seed;
    dropped += ring.header.dropped_events;
  }
  EXPECT_GT(dropped, test::rounds(100u));  // the ring was full often enough to matter
}

// With a ring that never fills, a reader in the middle of its steps must not make a writer see a full one.
TEST(ring_systematic, nothing_is_dropped_while_there_is_room) {
  for (std::uint64_t seed = 0; seed < test::rounds(300u); ++seed) {
    ring_under_test ring;
    checker check;
    stopped_reader reader(&ring.header, ring.records(), capacity_bytes);
    systematic threads(seed);
    for (std::uint32_t thread = 0; thread < 2; ++thread) {
      threads.add([&ring, thread] {
        for (std::uint64_t i = 0; i < 3; ++i) ring.write(thread, i);
      });
    }
    threads.add([&] {
      for (int i = 0; i < 10; ++i) reader.drain([&](std::span<const std::byte> bytes) { check(bytes); });
    });
    threads.run();
    ASSERT_EQ(ring.header.dropped_events, 0u) << "seed " << seed;
  }
}

// A writer that dies at any of its steps costs its own record and nothing else.
TEST(ring_systematic, a_writer_killed_at_any_step_costs_one_record) {
  for (std::uint64_t at = 0; at < 12; ++at) {
    for (std::uint64_t seed = 0; seed < test::rounds(40u); ++seed) {
      ring_under_test ring;
      checker check;
      systematic threads(seed);
      for (std::uint32_t thread = 0; thread < writers; ++thread) {
        threads.add([&ring, thread] {
          for (std::uint64_t i = 0; i < 2; ++i) ring.write(thread, i);
        });
      }
      threads.kill(1, at);
      threads.run();
      // The process is gone: what a reader then finds.
      wire::ring_reader reader(&ring.header, ring.records(), capacity_bytes);
      reader.drain([&](std::span<const std::byte> bytes) { check(bytes); }, wire::hole::skip);
      ASSERT_EQ(check.next[0], 2u) << "seed " << seed << " killed at " << at;
      ASSERT_EQ(check.next[2], 2u) << "seed " << seed << " killed at " << at;
      ASSERT_LE(reader.losses().gaps, 1u) << "seed " << seed << " killed at " << at;
      ASSERT_EQ(reader.position(), ring.header.head) << "seed " << seed << " killed at " << at;
    }
  }
}

}  // namespace
