// Pools of blocks: limits in blocks, reuse, and what checks say about misuse.
#include <gtest/gtest.h>
#include <tenure/fixed_pool.hpp>

#include <set>
#include <stdexcept>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

TEST(FixedPool, NeverHasMoreBlocksInUseThanItsLimit) {
  for (const std::uint64_t limit : {1u, 7u, 64u, 65u, 1000u}) {
    counting_upstream upstream;
    fixed_pool pool({.block_bytes = 24, .limit_blocks = limit, .upstream = &upstream});
    std::vector<void*> blocks;
    EXPECT_THROW(for (;;) blocks.push_back(pool.allocate(24)), std::bad_alloc);
    EXPECT_EQ(blocks.size(), limit);
    EXPECT_EQ(pool.capacity_blocks(), limit);
    pool.deallocate(blocks.back());
    EXPECT_EQ(pool.allocate(24), blocks.back());
    EXPECT_THROW(static_cast<void>(pool.allocate(24)), std::bad_alloc);
    pool.check();
  }
}

TEST(FixedPool, TakesNothingFromTheUpstreamOnceItHasWhatItNeeds) {
  counting_upstream upstream;
  fixed_pool pool({.block_bytes = 64, .upstream = &upstream});
  pool.reserve(5000);
  const std::size_t before = upstream.allocations();
  for (int round = 0; round < 3; ++round) {
    std::set<void*> blocks;
    for (int i = 0; i < 5000; ++i) ASSERT_TRUE(blocks.insert(pool.allocate(64)).second);
    for (void* one : blocks) pool.deallocate(one);
  }
  EXPECT_EQ(upstream.allocations(), before);
}

TEST(FixedPool, RefusesOptionsThatMakeNoBlock) {
  EXPECT_THROW(fixed_pool({.block_bytes = 0}), std::invalid_argument);
  EXPECT_THROW(fixed_pool({.block_bytes = 8, .alignment = 24}), std::invalid_argument);
  fixed_pool small({.block_bytes = 1, .alignment = 1});
  EXPECT_EQ(small.block_bytes(), sizeof(void*));
  EXPECT_THROW(static_cast<void>(small.allocate(9)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(small.allocate(1, 16)), std::bad_alloc);
}

[[gnu::noinline]] void* allocate_here(fixed_pool& pool) { return pool.allocate(32); }
[[gnu::noinline]] void release_there(fixed_pool& pool, void* block) { pool.deallocate(block); }

TEST(FixedPool, EndsMisuseInAMessageWithBothSites) {
  fixed_pool pool({.name = "nodes", .block_bytes = 32, .checks = resource_checks::on});
  fixed_pool other({.name = "others", .block_bytes = 32, .checks = resource_checks::on});
  void* block = allocate_here(pool);
  int elsewhere[8] = {};
  EXPECT_DEATH(release_there(other, block),
               "release of a block that pool \"nodes\" has handed out: 0x.*a block of 32 bytes, pool \"others\"(.|\n)*"
               "allocated there\n(.|\n)*at 0x(.|\n)*released here\n(.|\n)*at 0x");
  EXPECT_DEATH(release_there(pool, elsewhere), "release of a block that no pool has handed out");
  EXPECT_DEATH(release_there(pool, static_cast<char*>(block) + 8), "release of an interior pointer");
  release_there(pool, block);
  EXPECT_DEATH(release_there(pool, block),
               "double release: 0x.*a block of 32 bytes, pool \"nodes\"(.|\n)*allocated\n(.|\n)*at 0x(.|\n)*"
               "released first\n(.|\n)*at 0x(.|\n)*released again\n(.|\n)*at 0x");
  EXPECT_DEATH(
      {
        static_cast<char*>(block)[20] = 1;
        for (int i = 0; i < 100'000; ++i) static_cast<void>(pool.allocate(32));
        for (;;) pool.deallocate(pool.allocate(32));
      },
      "write into a block after its release: 0x");
}

TEST(FixedPool, SaysWhatWasLeftWhenItEnds) {
  ::testing::internal::CaptureStderr();
  {
    fixed_pool pool({.name = "left", .block_bytes = 32, .checks = resource_checks::on});
    static_cast<void>(allocate_here(pool));
    static_cast<void>(allocate_here(pool));
    pool.deallocate(allocate_here(pool));
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("pool destroyed with 2 blocks in use, the first of them: 0x"), std::string::npos) << text;
  EXPECT_NE(text.find("pool \"left\""), std::string::npos) << text;
}

}  // namespace
}  // namespace tenure
