#include "core/heap/central_list.h"

#include <set>
#include <thread>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

constexpr std::size_t class_48 = class_of(48);

// What a chain holds, counted by following it.
std::vector<free_block*> blocks_of(block_chain chain) {
  std::vector<free_block*> blocks;
  for (free_block* block = chain.first; block != nullptr; block = next_of(block)) blocks.push_back(block);
  EXPECT_EQ(blocks.size(), chain.count);
  return blocks;
}

block_chain chain_of(const std::vector<free_block*>& blocks) {
  block_chain chain;
  for (free_block* block : blocks) {
    block->link = encode_link(chain.first);
    chain.first = block;
    ++chain.count;
  }
  return chain;
}

class CentralList : public ::testing::Test {
 protected:
  static void check(std::size_t size_class) {
    central_lists[size_class].lock();
    central_lists[size_class].check(size_class);
    central_lists[size_class].unlock();
  }
  static const wire::size_class_statistics& published(std::size_t size_class) {
    return telemetry::statistics().classes[size_class];
  }
  void TearDown() override { check_heap(); }
};

TEST_F(CentralList, HandsOutBlocksOfItsClassAndNoneTwice) {
  dice random(1);
  for (std::size_t size_class = 1; size_class < class_count; ++size_class) {
    std::set<free_block*> out;
    for (int round = 0; round < 20; ++round) {
      const std::uint32_t wanted = 1 + random.below(largest_batch(size_class));
      const block_chain chain = central_lists[size_class].fetch(size_class, wanted);
      ASSERT_GE(chain.count, 1u);
      ASSERT_LE(chain.count, wanted);
      for (free_block* block : blocks_of(chain)) {
        ASSERT_TRUE(out.insert(block).second);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % class_bytes[size_class], 0u);
        const span* home = find_span(block);
        ASSERT_NE(home, nullptr);
        ASSERT_EQ(home->size_class, size_class);
        ASSERT_LE(reinterpret_cast<std::uintptr_t>(block) + class_bytes[size_class],
                  page_address(home->first_page + std::uintptr_t{home->page_count}));
        ASSERT_EQ(window.class_map[page_index(block)], size_class);
      }
      check(size_class);
    }
    ASSERT_EQ(published(size_class).handed_out_blocks, out.size());
    central_lists[size_class].give_back(size_class, chain_of({out.begin(), out.end()}));
    ASSERT_EQ(published(size_class).handed_out_blocks, 0u);
    ASSERT_EQ(published(size_class).span_count, 0u) << "an empty span was kept";
  }
}

TEST_F(CentralList, ListThatIsGivenComesBackWhole) {
  central_list& list = central_lists[class_48];
  const block_chain chain = list.fetch(class_48, 40);
  const std::vector<free_block*> blocks = blocks_of(chain);
  list.give(class_48, chain);
  EXPECT_EQ(list.batch_blocks(), blocks.size());
  const block_chain again = list.fetch(class_48, 40);
  EXPECT_EQ(blocks_of(again), blocks);
  EXPECT_EQ(list.batch_blocks(), 0u);
  list.give_back(class_48, again);
}

TEST_F(CentralList, BatchesBeyondTheLimitGoBackToTheirSpans) {
  central_list& list = central_lists[class_48];
  std::vector<block_chain> chains;
  for (int i = 0; i < 400; ++i) chains.push_back(list.fetch(class_48, 256));
  for (const block_chain& chain : chains) list.give(class_48, chain);
  EXPECT_LE(list.batch_blocks() * 48, 256u * 1024);
  EXPECT_GT(list.batch_blocks(), 0u);
  check(class_48);
  while (list.trim(class_48) != 0) {
  }
  list.trim(class_48);
  EXPECT_EQ(list.batch_blocks(), 0u);
  EXPECT_EQ(published(class_48).span_count, 0u);
  EXPECT_EQ(published(class_48).central_free_blocks, 0u);
}

TEST_F(CentralList, TrimTakesWhatLayUnusedAndLeavesWhatIsInUse) {
  central_list& list = central_lists[class_48];
  block_chain used = list.fetch(class_48, 30);
  const block_chain idle = list.fetch(class_48, 30);
  list.give(class_48, idle);
  list.give(class_48, used);
  list.trim(class_48);  // from here on both lie
  used = list.fetch(class_48, 30);
  list.give(class_48, used);
  EXPECT_EQ(list.trim(class_48), idle.count) << "only one was idle all the time";
  while (list.batch_blocks() != 0) list.trim(class_48);
}

TEST_F(CentralList, FullestSpansServeFirstSoThatTheOthersEmpty) {
  central_list& list = central_lists[class_48];
  // Some spans' worth, then a few blocks of each given back: many of one span, one of each other.
  std::vector<free_block*> all;
  while (published(class_48).span_count < 6) {
    for (free_block* block : blocks_of(list.fetch(class_48, 64))) all.push_back(block);
  }
  const span* nearly_empty = find_span(all.front());
  std::vector<free_block*> given;
  std::vector<free_block*> kept;
  std::set<const span*> touched;
  std::uint32_t left_in_it = 0;
  for (free_block* block : all) {
    const span* home = find_span(block);
    if (home == nearly_empty ? left_in_it++ > 0 : touched.insert(home).second) {
      given.push_back(block);
    } else {
      kept.push_back(block);
    }
  }
  list.give_back(class_48, chain_of(given));
  const block_chain next = list.fetch(class_48, 1);
  EXPECT_NE(find_span(next.first), nearly_empty);
  kept.push_back(next.first);
  list.give_back(class_48, chain_of(kept));
  EXPECT_EQ(published(class_48).span_count, 0u);
}

TEST_F(CentralList, RefusalIsAnEmptyChain) {
  constexpr std::size_t size_class = class_of(32768);
  std::vector<free_block*> all;
  os::fail_from_nth_call(1);
  for (int i = 0; i < 100000; ++i) {
    const block_chain chain = central_lists[size_class].fetch(size_class, 2);
    if (chain.count == 0) break;
    for (free_block* block : blocks_of(chain)) all.push_back(block);
  }
  EXPECT_EQ(central_lists[size_class].fetch(size_class, 2).count, 0u);
  check(size_class);
  os::fail_from_nth_call(0);
  const block_chain served = central_lists[size_class].fetch(size_class, 2);
  EXPECT_NE(served.count, 0u);
  central_lists[size_class].give_back(size_class, served);
  if (!all.empty()) central_lists[size_class].give_back(size_class, chain_of(all));
}

TEST_F(CentralList, LosesNothingBetweenThreads) {
  central_list& list = central_lists[class_48];
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      dice random(t);
      std::vector<block_chain> mine;
      for (int i = 0; i < 3000; ++i) {
        if (mine.empty() || random.below(2) == 0) {
          const block_chain chain = list.fetch(class_48, 1 + random.below(256));
          ASSERT_NE(chain.count, 0u);
          for (free_block* block : blocks_of(chain)) block->batch = t;  // as a program would write
          mine.push_back(chain);
        } else {
          for (free_block* block : blocks_of(mine.back())) ASSERT_EQ(block->batch, t) << "two threads have it";
          random.one_in(3) ? list.give_back(class_48, mine.back()) : list.give(class_48, mine.back());
          mine.pop_back();
        }
        if (random.one_in(500)) list.trim(class_48);
      }
      for (const block_chain& chain : mine) list.give(class_48, chain);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(published(class_48).handed_out_blocks, 0u);
  while (list.batch_blocks() != 0) list.trim(class_48);
  EXPECT_EQ(published(class_48).span_count, 0u);
}

}  // namespace
}  // namespace tenure::core
