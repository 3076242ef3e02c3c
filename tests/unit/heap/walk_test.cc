#include "core/heap/walk.h"

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/heap/named_heap.h"
#include "core/os/virtual_memory.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

using block_map = std::map<const void*, std::size_t>;

block_map walk(walk_totals* totals = nullptr) {
  block_map live;
  walk_totals own{};
  EXPECT_TRUE(walk_live_blocks(
      [](void* context, const live_block& block) {
        EXPECT_TRUE(static_cast<block_map*>(context)->emplace(block.address, block.bytes).second) << "told twice";
        return true;
      },
      &live, totals == nullptr ? &own : totals));
  return live;
}

class Walk : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override {
    initialize();
    telemetry::set_sample_interval_bytes(GetParam());
    before_ = walk();
  }
  void TearDown() override {
    telemetry::set_sample_interval_bytes(0);
    check_heap();
  }
  // Those that were not there when the test began.
  block_map walk_of_this_test() const {
    block_map live = walk();
    for (const auto& [address, bytes] : before_) live.erase(address);
    return live;
  }

 private:
  block_map before_;
};

TEST_P(Walk, TellsExactlyTheBlocksInUse) {
  dice random(1);
  std::thread([&] {
    block_map reference;
    std::vector<void*> blocks;
    for (int round = 0; round < 12; ++round) {
      for (int i = 0; i < 1500; ++i) {
        if (blocks.size() < 100 || random.below(5) < 3) {
          const std::size_t bytes = random.one_in(50) ? random.below(300000) : random.below(3000);
          blocks.push_back(test::allocate(bytes));
          reference[blocks.back()] = usable_bytes(blocks.back());
        } else {
          std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
          reference.erase(blocks.back());
          deallocate(blocks.back());
          blocks.pop_back();
        }
      }
      ASSERT_EQ(walk_of_this_test(), reference) << "in round " << round;
    }
    test::free_all(blocks);
    ASSERT_TRUE(walk_of_this_test().empty());
  }).join();
}

INSTANTIATE_TEST_SUITE_P(Sampling, Walk, ::testing::Values(0, 4096),
                         [](const auto& param) { return param.param == 0 ? "Off" : "Dense"; });

TEST(WalkTotals, AgreeWithWhatWasToldAndWithTheFigures) {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 3000; ++i) blocks.push_back(test::allocate(i * 13 % 70000));
  walk_totals totals{};
  const block_map live = walk(&totals);
  std::uint64_t bytes = 0;
  for (const auto& block : live) bytes += block.second;
  EXPECT_EQ(totals.blocks, live.size());
  EXPECT_EQ(totals.bytes, bytes);
  EXPECT_EQ(totals.unread_lists, 0u);
  const heap_figures now = test::figures();
  EXPECT_EQ(now.live_blocks, totals.blocks);
  EXPECT_EQ(now.live_bytes, totals.bytes);
  test::free_all(blocks);
}

TEST(WalkNames, BlocksOfNamedHeapsBearTheirName) {
  named_heap* heap = create_named_heap("cache of pages");
  std::set<const void*> ours;
  for (std::size_t i = 1; i < 300; ++i) ours.insert(heap->allocate(i * 100, 16));
  void* plain = test::allocate(10);
  struct seen {
    std::set<const void*> named;
    std::set<const void*> plain;
  } told;
  walk_totals totals{};
  ASSERT_TRUE(walk_live_blocks(
      [](void* context, const live_block& block) {
        auto* to = static_cast<seen*>(context);
        if (block.heap_name != nullptr) {
          EXPECT_STREQ(block.heap_name, "cache of pages");
        }
        (block.heap_name != nullptr ? to->named : to->plain).insert(block.address);
        return true;
      },
      &told, &totals));
  EXPECT_EQ(told.named, ours);
  EXPECT_EQ(told.plain.count(plain), 1u);
  deallocate(plain);
  destroy_named_heap(heap);
}

TEST(WalkVisitor, MayAllocateAndFreeAndStopsWhenItSays) {
  std::vector<void*> blocks;
  for (int i = 0; i < 500; ++i) blocks.push_back(test::allocate(64));
  walk_totals totals{};
  ASSERT_TRUE(walk_live_blocks(
      [](void*, const live_block&) {
        deallocate(test::allocate(200000));
        deallocate(test::allocate(64));
        return true;
      },
      nullptr, &totals));
  int left = 7;
  ASSERT_TRUE(walk_live_blocks([](void* context, const live_block&) { return --*static_cast<int*>(context) != 0; },
                               &left, &totals));
  EXPECT_EQ(left, 0);
  EXPECT_EQ(totals.blocks, 7u);
  test::free_all(blocks);
}

TEST(WalkRefusal, NoMemoryForTheMarksIsTold) {
  os::fail_from_nth_call(1);
  walk_totals totals{};
  EXPECT_FALSE(walk_live_blocks([](void*, const live_block&) { return true; }, nullptr, &totals));
  os::fail_from_nth_call(0);
  check_heap();
}

// Threads that only pop and push: each keeps so many blocks, between two walks and during them.
TEST(WalkThreads, BlocksThatStayAreAlwaysToldAndFiguresAlwaysAddUp) {
  constexpr std::size_t kept_each = 500;
  std::atomic<bool> ending = false;
  std::atomic<int> ready = 0;
  std::vector<std::vector<void*>> kept(3);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kept.size(); ++t) {
    threads.emplace_back([&, t] {
      dice random(t);
      for (std::size_t i = 0; i < kept_each; ++i) kept[t].push_back(test::allocate(16 + random.below(1000)));
      ++ready;
      std::vector<void*> churn;
      while (!ending) {
        if (churn.size() < 40 || random.below(2) == 0) {
          churn.push_back(test::allocate(16 + random.below(1000)));
          std::memset(churn.back(), 0xb5, 16);
        } else {
          deallocate(churn.back());
          churn.pop_back();
        }
        if (churn.size() > 200) test::free_all(churn);
      }
      test::free_all(churn);
    });
  }
  while (ready != static_cast<int>(kept.size())) std::this_thread::yield();
  for (int round = 0; round < 60; ++round) {
    const block_map live = walk();
    for (const std::vector<void*>& blocks : kept) {
      for (void* block : blocks) ASSERT_EQ(live.count(block), 1u) << "a live block was taken for a free one";
    }
    const heap_figures now = test::figures();
    test::expect_to_add_up(now);
    for (std::size_t c = 1; c < class_count; ++c) {
      ASSERT_LT(now.classes[c].live_blocks, 1000000u) << "more free blocks than blocks in class " << c;
    }
    // The three keep 500 each and have at most 201 besides.
    ASSERT_GE(now.live_blocks, 3 * kept_each);
    ASSERT_LE(now.live_blocks, 3 * (kept_each + 201) + 10);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "in round " << round;
  }
  ending = true;
  for (std::thread& thread : threads) thread.join();
  for (std::vector<void*>& blocks : kept) test::free_all(blocks);
  check_heap();
}

// A block passed back and forth in one thread is always exactly one.
TEST(WalkThreads, LiveCountIsExactWhileAThreadSwapsABlock) {
  const heap_figures before = test::figures();
  std::atomic<bool> ending = false;
  std::atomic<bool> ready = false;
  std::thread swapper([&] {
    void* block = test::allocate(64);
    ready = true;
    while (!ending) {
      void* next = test::allocate(64);
      deallocate(block);
      block = next;
    }
    deallocate(block);
  });
  while (!ready) std::this_thread::yield();
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t live = test::figures().live_blocks - before.live_blocks;
    ASSERT_GE(live, 1u) << "in round " << round;
    ASSERT_LE(live, 2u) << "in round " << round;
  }
  ending = true;
  swapper.join();
}

}  // namespace
}  // namespace tenure::core
