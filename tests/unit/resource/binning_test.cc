// Routing by size: each bin is asked for what is its own, and for nothing else.
#include <gtest/gtest.h>
#include <tenure/arena.hpp>
#include <tenure/binning.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/slab.hpp>

#include <stdexcept>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

TEST(Binning, RoutesBySizeAndAlignmentBothWays) {
  counting_upstream small, middle, rest;
  binning memory({.name = "tested",
                  .bins = {{64, &small}, {1000, &middle, 64}},
                  .checks = resource_checks::off,
                  .upstream = &rest});
  const auto expect_from = [&](counting_upstream& from, std::size_t bytes, std::size_t alignment) {
    void* block = memory.allocate(bytes, alignment);
    EXPECT_EQ(from.live_blocks(), 1u) << bytes << " at " << alignment;
    EXPECT_EQ(small.live_blocks() + middle.live_blocks() + rest.live_blocks(), 1u);
    memory.deallocate(block, bytes, alignment);  // the upstreams look at what comes back
    EXPECT_EQ(from.live_blocks(), 0u);
  };
  expect_from(small, 0, 1);
  expect_from(small, 64, 16);
  expect_from(middle, 64, 32);
  expect_from(middle, 65, 16);
  expect_from(middle, 1000, 64);
  expect_from(rest, 1000, 128);
  expect_from(rest, 1001, 1);
  EXPECT_EQ(&memory.route(64), &small);
  EXPECT_EQ(&memory.route(65), &middle);
  EXPECT_EQ(&memory.route(5000), &rest);
  memory.check();
}

TEST(Binning, GivesEmptyBlocksPlacesOfTheirOwn) {
  arena rest({.name = "rest"});
  binning memory({.name = "tested", .checks = resource_checks::on, .upstream = &rest});
  void* first = memory.allocate(0);
  void* second = memory.allocate(0);
  EXPECT_NE(first, second);
  memory.deallocate(first, 0);
  memory.deallocate(second, 0);
  EXPECT_EQ(memory.statistics().used_blocks, 0u);
}

TEST(Binning, RefusesBinsThatAreNone) {
  counting_upstream upstream;
  EXPECT_THROW(binning({.bins = {{64, &upstream}, {32, &upstream}}}), std::invalid_argument);
  EXPECT_THROW(binning({.bins = {{64, nullptr}}}), std::invalid_argument);
}

TEST(Binning, TellsEachResourceOnce) {
  fixed_pool pool({.name = "pool", .block_bytes = 64});
  slab rest({.name = "rest"});
  binning memory({.name = "tested", .bins = {{32, &pool}, {64, &pool}}, .upstream = &rest});
  void* blocks[] = {memory.allocate(20), memory.allocate(60), memory.allocate(600)};
  EXPECT_EQ(testing::live_ranges(memory).size(), 3u);
  for (void* one : blocks) EXPECT_TRUE(memory.owns(one));
  memory.deallocate(blocks[0], 20);
  memory.deallocate(blocks[1], 60);
  memory.deallocate(blocks[2], 600);
  EXPECT_GT(memory.trim(), 64u * 64u);
  EXPECT_EQ(pool.statistics().held_bytes + rest.statistics().held_bytes, 0u);
}

TEST(Binning, EndsReleasesToTheWrongBinInAMessage) {
  fixed_pool pool({.name = "pool", .block_bytes = 64});
  binning memory({.name = "documents", .bins = {{64, &pool}}, .checks = resource_checks::on});
  void* block = memory.allocate(60);
  EXPECT_DEATH(memory.deallocate(block, 100),
               "release with a size or alignment that is not this block's: 0x.*a block of 60 bytes, binning "
               "\"documents\"(.|\n)*allocated\n(.|\n)*released here\n");
  memory.deallocate(block, 60);
  EXPECT_DEATH(memory.deallocate(block, 60), "double release: 0x(.|\n)*allocated\n(.|\n)*released first\n");
}

}  // namespace
}  // namespace tenure
