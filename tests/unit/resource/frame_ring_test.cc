// Rings of frames: what is alive in which frame, by a model that remembers when each block was made.
#include <gtest/gtest.h>
#include <tenure/frame_ring.hpp>

#include <deque>
#include <stdexcept>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;
using testing::filled_block;

TEST(FrameRing, KeepsBlocksForAsManyAdvancesAsItHasFrames) {
  for (const std::size_t frames : {1u, 2u, 3u, 7u}) {
    counting_upstream upstream;
    frame_ring ring({.frames = frames, .checks = resource_checks::off, .upstream = &upstream});
    std::deque<std::vector<filled_block>> alive(1);
    std::mt19937_64 dice(frames);
    for (std::uint64_t frame = 0; frame < 60; ++frame) {
      ASSERT_EQ(ring.frame(), frame);
      for (std::size_t i = dice() % 300; i-- != 0;) {
        alive.back().push_back(filled_block::make(ring, 1 + dice() % 500, 8, static_cast<unsigned char>(dice())));
      }
      std::uint64_t bytes = 0, blocks = 0;
      for (std::size_t age = 0; age < alive.size(); ++age) {
        for (const filled_block& one : alive[alive.size() - 1 - age]) {
          ASSERT_TRUE(one.is_intact());
          ASSERT_EQ(ring.frame_of(one.start), frame - age);
          bytes += one.bytes, ++blocks;
        }
      }
      ASSERT_EQ(ring.statistics().used_bytes, bytes);
      ASSERT_EQ(ring.statistics().used_blocks, blocks);
      ring.check();
      ring.advance();
      alive.emplace_back();
      if (alive.size() > frames) alive.pop_front();
    }
    EXPECT_EQ(ring.frame_of(&upstream), UINT64_MAX);
  }
}

TEST(FrameRing, AllocatesNothingOnceWarm) {
  counting_upstream upstream;
  frame_ring ring({.frames = 3, .checks = resource_checks::off, .upstream = &upstream});
  const auto work = [&] {
    ring.advance();
    for (int i = 0; i < 1000; ++i) static_cast<void>(ring.allocate(100));
  };
  for (int i = 0; i < 6; ++i) work();
  const std::size_t before = upstream.allocations();
  for (int i = 0; i < 50; ++i) work();
  EXPECT_EQ(upstream.allocations(), before);
}

struct noted {
  explicit noted(int number) : number_(number) {}
  ~noted() { ended.push_back(number_); }
  noted(const noted&) = delete;
  noted& operator=(const noted&) = delete;
  static inline std::vector<int> ended;
  int number_;
};

TEST(FrameRing, RunsDestructorsWhenAFrameRetires) {
  noted::ended.clear();
  {
    frame_ring ring({.frames = 2});
    ring.create<noted>(1);
    ring.create<noted>(2);
    ring.advance();
    ring.create<noted>(3);
    EXPECT_TRUE(noted::ended.empty());
    ring.advance();
    EXPECT_EQ(noted::ended, (std::vector<int>{2, 1}));
    ring.create<noted>(4);
  }
  EXPECT_EQ(noted::ended, (std::vector<int>{2, 1, 3, 4}));
}

TEST(FrameRing, RefusesARingThatIsNone) {
  EXPECT_THROW(frame_ring({.frames = 0}), std::invalid_argument);
  EXPECT_THROW(frame_ring({.frames = 65}), std::invalid_argument);
}

TEST(FrameRing, EndsUseOfARetiredFrameInAMessage) {
  frame_ring ring({.name = "draws", .frames = 2, .checks = resource_checks::on});
  int* volatile number = ring.create<int>(7);
  ring.advance();
  EXPECT_EQ(*number, 7);
  ring.advance();
  EXPECT_DEATH(*number = 8,
               "use after reset: 0x.*a block of 4 bytes, frame_ring "
               "\"draws\"(.|\n)*allocated\n(.|\n)*reset\n(.|\n)*used\n");
}

}  // namespace
}  // namespace tenure
