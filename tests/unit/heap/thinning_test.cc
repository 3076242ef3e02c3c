// Thinning: which pages go, that the blocks come back, that nothing in use loses a byte. The kernel says what is
// resident.
#include "core/heap/thinning.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "core/heap/central_list.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

std::size_t resident_bytes_of(const span* of) {
  const std::size_t bytes = std::size_t{of->page_count} << page_shift;
  std::vector<unsigned char> pages(bytes / os::page_bytes());
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(page_address(of->first_page)), bytes, pages.data()), 0);
  return static_cast<std::size_t>(
             std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; })) *
         os::page_bytes();
}

std::size_t thin(std::size_t size_class, bool also_changed = true) {
  std::size_t waiting = 0;
  return central_lists[size_class].thin(size_class, also_changed, &waiting);
}

class Thinning : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    telemetry::set_sample_interval_bytes(0);
    purge();
  }
  void TearDown() override {
    check_heap();
    test::expect_to_add_up(test::figures());
  }

  // Blocks with content, of which only those that `keep` chooses stay.
  template <class Keep>
  std::vector<test::filled_block> blocks_of(std::size_t bytes, int count, Keep keep) {
    std::vector<test::filled_block> all;
    for (int i = 0; i < count; ++i) {
      all.push_back(test::filled_block::make(bytes, static_cast<unsigned char>(i * 7 + 1)));
    }
    std::vector<test::filled_block> kept;
    for (int i = 0; i < count; ++i) {
      if (keep(i)) {
        kept.push_back(all[static_cast<std::size_t>(i)]);
      } else {
        deallocate(all[static_cast<std::size_t>(i)].start);
      }
    }
    flush_own_cache();
    for (int i = 0; i < 2; ++i) central_lists[class_of(bytes)].trim(class_of(bytes));
    return kept;
  }
  static void free_all(const std::vector<test::filled_block>& blocks) {
    for (const test::filled_block& block : blocks) {
      EXPECT_TRUE(block.is_intact());
      deallocate(block.start);
    }
  }
};

// A span that is cut from pages of an earlier use is resident where no block of it was ever handed out.
TEST_F(Thinning, WhatWasNeverHandedOutGoesBackWhereItIsResident) {
  constexpr std::uint32_t pages = 64;
  constexpr std::size_t bytes = 20480;
  span* before = allocate_span(pages, 1, span_kind::large, false);
  ASSERT_NE(before, nullptr);
  std::memset(reinterpret_cast<void*>(page_address(before->first_page)), 1, pages * page_size_bytes);
  release_span(before, false);
  const std::vector<test::filled_block> kept = blocks_of(bytes, 1, [](int) { return true; });
  span* home = find_span(kept[0].start);
  ASSERT_NE(home, nullptr);
  ASSERT_FALSE(home->zeroed);
  ASSERT_LT(home->carved_count, home->block_count);
  ASSERT_EQ(resident_bytes_of(home), home->page_count * page_size_bytes);
  EXPECT_GT(thin(class_of(bytes)), 0u);
  EXPECT_LE(resident_bytes_of(home), bytes + 2 * os::page_bytes());
  EXPECT_EQ(thin(class_of(bytes)), 0u);
  EXPECT_EQ(home->absent_count, home->free_count);
  free_all(kept);
}

TEST_F(Thinning, WhatOneBlockPinsGoesBackButForItsOwnPages) {
  for (const std::size_t bytes : {1024u, 1792u, 3000u, 8192u, 20480u, 65536u}) {
    const std::vector<test::filled_block> kept = blocks_of(bytes, 40, [](int i) { return i == 13; });
    span* home = find_span(kept[0].start);
    const std::size_t before = resident_bytes_of(home);
    const std::size_t returned = thin(class_of(bytes));
    EXPECT_GT(returned, 0u) << bytes;
    EXPECT_LE(resident_bytes_of(home), bytes + 2 * os::page_bytes()) << bytes << ", before " << before;
    EXPECT_GT(home->absent_count, 0u);
    check_blocks(home);
    EXPECT_EQ(thin(class_of(bytes)), 0u) << "twice the same";
    free_all(kept);
  }
}

TEST_F(Thinning, AbsentBlocksAreHandedOutAgainEachOnce) {
  constexpr std::size_t bytes = 3000;
  const std::vector<test::filled_block> kept = blocks_of(bytes, 400, [](int i) { return i % 10 == 0; });
  ASSERT_GT(thin(class_of(bytes)), 0u);
  std::set<void*> seen;
  for (const test::filled_block& block : kept) seen.insert(block.start);
  std::vector<test::filled_block> again;
  for (int i = 0; i < 600; ++i) {
    again.push_back(test::filled_block::make(bytes, static_cast<unsigned char>(i)));
    EXPECT_TRUE(seen.insert(again.back().start).second) << "a block that somebody has";
  }
  free_all(again);
  free_all(kept);
}

TEST_F(Thinning, AWalkTellsAbsentBlocksFromLiveOnes) {
  constexpr std::size_t bytes = 8192;
  const heap_figures before = test::figures();
  const std::vector<test::filled_block> kept = blocks_of(bytes, 100, [](int i) { return i % 20 == 3; });
  ASSERT_GT(thin(class_of(bytes)), 0u);
  EXPECT_EQ(test::figures().live_blocks - before.live_blocks, kept.size());
  std::set<const void*> walked;
  walk_totals totals;
  ASSERT_TRUE(walk_live_blocks(
      [](void* context, const live_block& block) {
        static_cast<std::set<const void*>*>(context)->insert(block.address);
        return true;
      },
      &walked, &totals));
  for (const test::filled_block& block : kept) EXPECT_EQ(walked.count(block.start), 1u);
  EXPECT_EQ(totals.blocks, test::figures().live_blocks);
  free_all(kept);
}

TEST_F(Thinning, WaitsForAListToComeToRestUnlessToldNotTo) {
  constexpr std::size_t bytes = 4096;
  const std::vector<test::filled_block> kept = blocks_of(bytes, 100, [](int i) { return i % 10 == 0; });
  for (unsigned look = 0; look < looks_before_thinning; ++look) {
    std::size_t waiting = 0;
    EXPECT_EQ(central_lists[class_of(bytes)].thin(class_of(bytes), false, &waiting), 0u);
    EXPECT_GT(waiting, 0u);
  }
  std::size_t waiting = 0;
  EXPECT_GT(central_lists[class_of(bytes)].thin(class_of(bytes), false, &waiting), 0u);
  EXPECT_EQ(waiting, 0u);
  free_all(kept);
}

TEST_F(Thinning, ADoubleFreeOfABlockThatHasGoneEndsTheProgram) {
  constexpr std::size_t bytes = 16384;
  const std::vector<test::filled_block> all = blocks_of(bytes, 1, [](int) { return true; });
  const std::vector<test::filled_block> kept = blocks_of(bytes, 40, [](int i) { return i == 20; });
  ASSERT_GT(thin(class_of(bytes)), 0u);
  span* home = find_span(kept[0].start);
  ASSERT_GT(home->absent_count, 0u) << home->block_count << " blocks, free " << home->free_count;
  std::uint32_t index = 0;
  while (!is_absent(home, index)) ++index;
  void* gone = block_at(home, index);
  EXPECT_DEATH(
      {
        deallocate(gone);
        flush_own_cache();
        for (int i = 0; i < 3; ++i) central_lists[class_of(bytes)].trim(class_of(bytes));
      },
      "");
  free_all(kept);
  free_all(all);
}

// Random frees and allocations of several sizes, thinned over and over; the model is what each block holds.
TEST_F(Thinning, LosesNoByteOfWhatIsInUseUnderRandomUse) {
  dice random(23);
  std::vector<test::filled_block> blocks;
  const auto any_size = [&random] { return 600 + random.below(30000); };
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 200; ++i) {
      blocks.push_back(test::filled_block::make(any_size(), static_cast<unsigned char>(random())));
    }
    for (std::size_t left = blocks.size() * 3 / 4; left != 0; --left) {
      std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
      ASSERT_TRUE(blocks.back().is_intact());
      deallocate(blocks.back().start);
      blocks.pop_back();
    }
    if (round % 3 == 0) flush_own_cache();
    for (std::size_t i = 1; i < class_count; ++i) {
      central_lists[i].trim(i);
      thin(i, round % 2 == 0);
    }
    test::expect_to_add_up(test::figures());
    check_heap();
  }
  free_all(blocks);
}

// One thread thins while others allocate and free.
TEST_F(Thinning, RunsBesideThreadsThatAllocate) {
  bool done = false;
  std::thread thinner([&done] {
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
      for (std::size_t i = class_of(1500); i < class_count; ++i) {
        central_lists[i].trim(i);
        thin(i);
      }
    }
  });
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([t] {
      dice random(t + 70);
      std::vector<test::filled_block> blocks;
      for (int i = 0; i < 4000; ++i) {
        if (blocks.size() < 60 || random.below(2) == 0) {
          blocks.push_back(test::filled_block::make(1500 + random.below(9000), static_cast<unsigned char>(random())));
        }
        if (blocks.size() > 60) {
          std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
          ASSERT_TRUE(blocks.back().is_intact());
          deallocate(blocks.back().start);
          blocks.pop_back();
        }
        if (i % 97 == 0) flush_own_cache();
      }
      free_all(blocks);
    });
  }
  for (std::thread& thread : threads) thread.join();
  __atomic_store_n(&done, true, __ATOMIC_RELEASE);
  thinner.join();
}

}  // namespace
}  // namespace tenure::core
