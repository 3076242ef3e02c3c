#include "core/telemetry/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "wire/ring_reader.h"

using namespace tenure;

namespace {

// A ring in the test's own memory; the canary behind it shows a write beyond its end.
class test_ring {
 public:
  explicit test_ring(std::size_t capacity_bytes) : memory_(capacity_bytes / 8 + 64, 0) {
    std::fill(memory_.end() - 64, memory_.end(), canary);
    writer.attach(&header, records(), capacity_bytes, nullptr);
    capacity = capacity_bytes;
  }
  ~test_ring() {
    for (std::size_t i = memory_.size() - 64; i < memory_.size(); ++i) EXPECT_EQ(memory_[i], canary);
    writer.check();
  }
  std::byte* records() { return reinterpret_cast<std::byte*>(memory_.data()); }
  wire::ring_reader reader() { return {&header, records(), capacity}; }

  // A free event that says who wrote it and the how manieth it is, with `frames` frames that repeat both.
  bool write(std::uint32_t thread, std::uint64_t number, std::uint32_t frames) {
    wire::free_sample_event event{};
    const std::size_t bytes = sizeof event + frames * sizeof(std::uint64_t);
    std::byte* record = writer.reserve(bytes);
    if (record == nullptr) return writer.count_dropped(0), false;
    event.sample_id = number;
    event.thread_id = thread;
    event.frame_count = frames;
    std::memcpy(record + 8, reinterpret_cast<const std::byte*>(&event) + 8, sizeof event - 8);
    for (std::uint32_t i = 0; i < frames; ++i) {
      const std::uint64_t frame = number << 8 | thread;
      std::memcpy(record + sizeof event + i * sizeof frame, &frame, sizeof frame);
    }
    writer.publish(record, wire::event_kind::free_sample, bytes);
    return true;
  }

  wire::ring_header header{};
  telemetry::ring_writer writer;
  std::size_t capacity = 0;

 private:
  static constexpr std::uint64_t canary = 0xdeadbeefcafef00d;
  std::vector<std::uint64_t> memory_;
};

// Takes an event apart; false when its frames are not those its writer wrote.
bool whole(std::span<const std::byte> bytes, wire::free_sample_event* event) {
  std::span<const std::uint64_t> frames;
  if (!wire::decode(bytes, event, &frames)) return false;
  for (const std::uint64_t frame : frames) {
    if (frame != (event->sample_id << 8 | event->thread_id)) return false;
  }
  return true;
}

TEST(ring, gives_back_what_was_written_in_order_over_many_laps) {
  test_ring ring(4096);
  auto reader = ring.reader();
  std::mt19937 random(5);
  std::uint64_t written = 0;
  std::uint64_t expected = 0;
  for (int round = 0; round < 2000; ++round) {
    const unsigned burst = random() % 8;
    for (unsigned i = 0; i < burst; ++i) {
      if (ring.write(7, written, static_cast<std::uint32_t>(random() % 30))) ++written;
    }
    reader.drain([&](std::span<const std::byte> bytes) {
      wire::free_sample_event event;
      ASSERT_TRUE(whole(bytes, &event));
      ASSERT_EQ(event.sample_id, expected++);
    });
  }
  EXPECT_EQ(expected, written);
  EXPECT_GT(ring.header.head, 10 * ring.capacity);
  EXPECT_EQ(ring.header.dropped_events, 0u);
  EXPECT_EQ(reader.losses().bytes, 0u);
}

TEST(ring, drops_and_counts_when_full_and_goes_on_when_there_is_room_again) {
  test_ring ring(1024);
  std::uint64_t accepted = 0;
  for (std::uint64_t i = 0; i < 100; ++i) accepted += ring.write(1, i, 2) ? 1 : 0;
  EXPECT_GT(accepted, 5u);
  EXPECT_EQ(ring.header.dropped_events, 100 - accepted);
  EXPECT_EQ(ring.header.written_events, accepted);
  EXPECT_LE(ring.header.head, ring.capacity);
  auto reader = ring.reader();
  EXPECT_EQ(reader.drain([](std::span<const std::byte>) {}), accepted);
  EXPECT_TRUE(ring.write(1, 1000, 2));
  EXPECT_EQ(reader.drain([](std::span<const std::byte>) {}), 1u);
}

TEST(ring, waits_at_a_record_that_is_not_published_and_steps_over_it_when_its_writer_is_dead) {
  test_ring ring(4096);
  ASSERT_TRUE(ring.write(1, 0, 3));
  std::byte* killed = ring.writer.reserve(200);
  ASSERT_NE(killed, nullptr);
  std::memset(killed + 8, 0x5a, 192);  // it got as far as the body
  ASSERT_TRUE(ring.write(1, 1, 3));
  auto reader = ring.reader();
  std::vector<std::uint64_t> seen;
  const auto visit = [&](std::span<const std::byte> bytes) {
    wire::free_sample_event event;
    ASSERT_TRUE(whole(bytes, &event));
    seen.push_back(event.sample_id);
  };
  EXPECT_EQ(reader.drain(visit), 1u);
  EXPECT_EQ(reader.drain(visit), 0u);
  EXPECT_EQ(reader.losses().gaps, 0u);
  EXPECT_EQ(reader.drain(visit, wire::hole::skip), 1u);
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(reader.losses().bytes, 200u);
  EXPECT_EQ(reader.losses().gaps, 1u);
}

TEST(ring, goes_on_where_an_earlier_reader_stopped) {
  test_ring ring(4096);
  for (std::uint64_t i = 0; i < 6; ++i) ring.write(1, i, 1);
  auto first = ring.reader();
  EXPECT_EQ(first.drain([](std::span<const std::byte>) {}, wire::hole::wait, 4), 4u);
  std::uint64_t expected = 4;
  auto second = ring.reader();
  second.drain([&](std::span<const std::byte> bytes) {
    wire::free_sample_event event;
    ASSERT_TRUE(whole(bytes, &event));
    EXPECT_EQ(event.sample_id, expected++);
  });
  EXPECT_EQ(expected, 6u);
}

TEST(ring, refuses_when_its_memory_cannot_be_had) {
  wire::ring_header header{};
  alignas(8) static std::byte memory[256 * 1024];
  telemetry::ring_writer writer;
  static std::size_t granted;
  granted = 0;
  writer.attach(&header, memory, sizeof memory, [](std::byte*, std::size_t bytes) noexcept {
    if (granted + bytes > 128 * 1024) return false;
    granted += bytes;
    return true;
  });
  std::size_t accepted = 0;
  while (std::byte* record = writer.reserve(1024)) {
    writer.publish(record, wire::event_kind::free_sample, 1024);
    accepted += 1024;
  }
  EXPECT_EQ(accepted, 128u * 1024);
  EXPECT_EQ(granted, 128u * 1024);
}

// The header and every record may hold anything: the reader ends, stays inside, and hands out nothing too long.
TEST(ring, reader_survives_anything_in_the_ring) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 3000; ++round) {
    test_ring ring(2048);
    for (std::uint64_t i = 0; i < 12; ++i) ring.write(1, i, static_cast<std::uint32_t>(random() % 9));
    auto* words = reinterpret_cast<std::uint64_t*>(ring.records());
    const int damages = static_cast<int>(random() % 12);
    for (int i = 0; i < damages; ++i) {
      wire::event_header header{static_cast<std::uint16_t>(random() % 8), wire::event_magic,
                                static_cast<std::uint32_t>(random() % 3 == 0 ? random() : random() % 64 * 8)};
      std::memcpy(&words[random() % (ring.capacity / 8)], &header, sizeof header);
    }
    if (random() % 4 == 0) ring.header.head = random() % 2 == 0 ? random() : random() % 4096;
    if (random() % 4 == 0) ring.header.tail = random() % 2 == 0 ? random() : random() % 4096;
    auto reader = ring.reader();
    std::size_t bytes_taken = 0;
    reader.drain(
        [&](std::span<const std::byte> bytes) {
          bytes_taken += bytes.size();
          ASSERT_LE(bytes.size(), wire::event_limit_bytes);
          wire::allocation_sample_event allocation;
          wire::free_sample_event freed;
          wire::module_event module;
          wire::thread_event thread;
          std::span<const std::uint64_t> frames;
          std::span<const char> path;
          if (wire::decode(bytes, &allocation, &frames)) {
            ASSERT_LE(frames.size_bytes(), bytes.size());
          }
          if (wire::decode(bytes, &freed, &frames)) {
            ASSERT_LE(frames.size_bytes(), bytes.size());
          }
          if (wire::decode(bytes, &module, &path)) {
            ASSERT_LE(path.size(), bytes.size());
          }
          if (wire::decode(bytes, &thread)) {
            ASSERT_LT(std::strlen(thread.name), 16u);
          }
        },
        wire::hole::skip);
    ASSERT_LE(bytes_taken + reader.losses().bytes, 2 * ring.capacity);
  }
}

// Writers and the reader at once, on a ring so small that it is full most of the time.
TEST(ring, loses_nothing_but_what_it_counts_under_stress) {
  test_ring ring(8192);
  constexpr std::uint32_t writers = 3;
  constexpr std::uint64_t each = 20000;
  std::atomic<std::uint32_t> running{writers};
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < writers; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < each; ++i) {
        ring.write(thread, i, static_cast<std::uint32_t>((i * 7 + thread) % 40));
        if (i % 64 == 0) std::this_thread::yield();
      }
      --running;
    });
  }
  auto reader = ring.reader();
  std::uint64_t next[writers] = {};
  std::uint64_t taken = 0;
  const auto visit = [&](std::span<const std::byte> bytes) {
    wire::free_sample_event event;
    ASSERT_TRUE(whole(bytes, &event));
    ASSERT_LT(event.thread_id, writers);
    ASSERT_GE(event.sample_id, next[event.thread_id]);
    next[event.thread_id] = event.sample_id + 1;
    ++taken;
  };
  while (running != 0) {
    if (reader.drain(visit, wire::hole::wait, 50) == 0) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  reader.drain(visit);
  EXPECT_EQ(taken, ring.header.written_events);
  EXPECT_EQ(taken + ring.header.dropped_events, writers * each);
  EXPECT_EQ(reader.losses().bytes, 0u);
  EXPECT_EQ(ring.header.head, ring.header.tail);
}

}  // namespace
