// Slabs of size classes: how requests are rounded, what is used again, what comes back, what checks say.
#include <gtest/gtest.h>
#include <tenure/arena.hpp>
#include <tenure/slab.hpp>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

// The classes as the header states them, written down without a formula.
std::size_t stated_class(std::size_t bytes) {
  std::vector<std::size_t> classes;
  for (std::size_t size = 16; size <= 128; size += 16) classes.push_back(size);
  for (std::size_t doubling = 128; doubling < 32768; doubling *= 2) {
    for (std::size_t quarter = 5; quarter <= 8; ++quarter) classes.push_back(doubling * quarter / 4);
  }
  return *std::lower_bound(classes.begin(), classes.end(), bytes);
}

TEST(Slab, RoundsEveryRequestToItsClass) {
  slab memory({.name = "tested", .largest_bytes = 32768, .checks = resource_checks::off});
  for (std::size_t bytes = 1; bytes <= 32768; ++bytes) {
    ASSERT_EQ(slab::class_bytes(bytes), stated_class(bytes)) << bytes;
    if (bytes > 128) {
      ASSERT_LE(stated_class(bytes) - bytes, bytes / 4);
    }
  }
  for (std::size_t bytes = 1; bytes <= 32768; bytes += 61) {
    void* block = memory.allocate(bytes);
    ASSERT_EQ(memory.statistics().used_bytes, stated_class(bytes));
    memory.deallocate(block, bytes);
    ASSERT_EQ(memory.statistics().used_bytes, 0u);
  }
  EXPECT_THROW(slab({.largest_bytes = 32769}), std::invalid_argument);
}

TEST(Slab, GivesEveryAlignmentThatWasAskedFor) {
  slab memory({.name = "tested"});
  for (std::size_t alignment = 1; alignment <= 65536; alignment *= 2) {
    for (const std::size_t bytes : {1u, 17u, 100u, 1000u, 4000u, 5000u}) {
      const auto one = testing::filled_block::make(memory, bytes, alignment, 3);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(one.start) % alignment, 0u);
      ASSERT_TRUE(memory.owns(one.start));
      memory.deallocate(one.start, bytes, alignment);
    }
  }
  memory.check();
}

TEST(Slab, TakesNothingFromTheUpstreamOnceItHasWhatItNeeds) {
  counting_upstream upstream;
  slab memory({.name = "tested", .checks = resource_checks::off, .upstream = &upstream});
  std::size_t after_first_round = 0;
  for (int round = 0; round < 4; ++round) {
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t i = 0; i < 3000; ++i) blocks.emplace_back(memory.allocate(1 + i % 900), 1 + i % 900);
    for (const auto& [block, bytes] : blocks) memory.deallocate(block, bytes);
    if (round == 0) after_first_round = upstream.allocations();
  }
  EXPECT_EQ(upstream.allocations(), after_first_round);
  EXPECT_EQ(memory.trim(), memory.statistics().peak_held_bytes);
  EXPECT_EQ(upstream.live_blocks(), 0u);
}

TEST(Slab, PassesLargeBlocksThrough) {
  counting_upstream upstream;
  slab memory({.name = "tested", .largest_bytes = 1024, .upstream = &upstream});
  void* block = memory.allocate(1025);
  EXPECT_EQ(upstream.live_bytes(), 1025u);
  EXPECT_EQ(memory.statistics().used_bytes, 1025u);
  EXPECT_TRUE(memory.owns(static_cast<char*>(block) + 1024));
  memory.deallocate(block, 1025);
  EXPECT_EQ(upstream.live_bytes(), 0u);
  EXPECT_FALSE(memory.owns(block));
}

TEST(Slab, GivesEmptyLargeBlocksPlacesOfTheirOwn) {
  for (const resource_checks checks : {resource_checks::off, resource_checks::on}) {
    arena upstream({.name = "upstream"});
    slab memory({.name = "tested", .checks = checks, .upstream = &upstream});
    void* first = memory.allocate(0, 8192);
    void* second = memory.allocate(0, 8192);
    EXPECT_NE(first, second);
    memory.deallocate(first, 0, 8192);
    memory.deallocate(second, 0, 8192);
    EXPECT_EQ(memory.statistics().used_blocks, 0u);
    memory.check();
  }
}

[[gnu::noinline]] void* allocate_here(slab& from, std::size_t bytes) { return from.allocate(bytes); }
[[gnu::noinline]] void release_there(slab& to, void* block, std::size_t bytes) { to.deallocate(block, bytes); }

TEST(Slab, EndsMisuseInAMessageWithBothSites) {
  slab memory({.name = "documents", .checks = resource_checks::on});
  slab other({.name = "others", .checks = resource_checks::on});
  void* small = allocate_here(memory, 100);
  void* large = allocate_here(memory, 10'000);
  EXPECT_DEATH(
      release_there(memory, small, 300),
      "release of a block that slab \"documents: 112 bytes\" has handed out: 0x.*slab \"documents: 320 bytes\"(.|\n)*"
      "allocated there\n(.|\n)*at 0x(.|\n)*released here\n(.|\n)*at 0x");
  EXPECT_DEATH(release_there(other, small, 100),
               "release of a block that slab \"documents: 112 bytes\" has handed out");
  EXPECT_DEATH(release_there(other, large, 10'000),
               "release of a block that slab \"documents\" has handed out: 0x.*slab \"others\"(.|\n)*allocated there\n"
               "(.|\n)*released here");
  EXPECT_DEATH(release_there(memory, large, 10'001), "release with a size or alignment that is not this block's");
  release_there(memory, small, 100);
  release_there(memory, large, 10'000);
  EXPECT_DEATH(release_there(memory, small, 100),
               "double release: 0x.*slab \"documents: 112 bytes\"(.|\n)*allocated\n(.|\n)*released first\n(.|\n)*"
               "released again\n");
  EXPECT_DEATH(
      release_there(memory, large, 10'000),
      "double release: 0x.*slab \"documents\"(.|\n)*allocated\n(.|\n)*released first\n(.|\n)*released again\n");
}

TEST(Slab, TellsOfLargeBlocksThatAreNoneWithoutChecksToo) {
  slab memory({.name = "documents", .checks = resource_checks::off});
  void* large = memory.allocate(10'000);
  EXPECT_DEATH(memory.deallocate(large, 10'001), "no block in use, or with another size.*slab \"documents\"");
  memory.deallocate(large, 10'000);
  EXPECT_DEATH(memory.deallocate(large, 10'000), "no block in use, or with another size.*slab \"documents\"");
}

}  // namespace
}  // namespace tenure
