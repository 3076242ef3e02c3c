#include "core/heap/emergency.h"

#include <csignal>
#include <map>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

TEST(Emergency, BlocksAreAlignedLargeEnoughAndRecognised) {
  std::map<std::uintptr_t, std::size_t> blocks;
  for (std::size_t bytes = 1; bytes < 300000; bytes *= 3) {
    for (std::size_t alignment = 16; alignment <= 65536; alignment *= 16) {
      void* block = emergency_allocate(bytes, alignment);
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u);
      ASSERT_TRUE(is_emergency_block(block));
      ASSERT_FALSE(is_emergency_block(static_cast<char*>(block) + 1));
      ASSERT_GE(emergency_block_bytes(block), bytes);
      std::memset(block, 0x5a, emergency_block_bytes(block));
      blocks[reinterpret_cast<std::uintptr_t>(block)] = emergency_block_bytes(block);
    }
  }
  std::uintptr_t end = 0;
  for (const auto& [begin, bytes] : blocks) {
    EXPECT_GE(begin, end);
    end = begin + bytes;
  }
  EXPECT_EQ(emergency_allocations(), blocks.size());
  EXPECT_FALSE(is_emergency_block(nullptr));
  EXPECT_EQ(emergency_allocate(~std::size_t{0}, 16), nullptr);
}

TEST(Emergency, ServesAHandlerThatAllocatesInTheMiddleOfASlowPath) {
  deallocate(test::allocate(100));
  const std::uint64_t before = emergency_allocations();
  void* small = nullptr;
  void* large = nullptr;
  {
    const busy_section now(hot);  // as a handler finds the heap that has interrupted its own thread
    while (hot.front[class_of(100)] != empty_link) ASSERT_NE(try_allocate(100), nullptr);
    small = test::allocate(100);
    large = test::allocate(100000);
    ASSERT_TRUE(is_emergency_block(small));
    ASSERT_TRUE(is_emergency_block(large));
    EXPECT_EQ(static_cast<char*>(allocate_zeroed(100000))[99999], 0);
  }
  EXPECT_EQ(emergency_allocations() - before, 3u);
  std::memset(small, 1, 100);
  std::memset(large, 1, 100000);
  EXPECT_GE(usable_bytes(small), 100u);
  void* moved = reallocate(large, 200000);
  EXPECT_FALSE(is_emergency_block(moved));
  EXPECT_EQ(static_cast<char*>(moved)[99999], 1);
  deallocate(moved);
  deallocate(small);
}

TEST(Emergency, BlocksThatAHandlerFreesAreFreedWhenTheSectionEnds) {
  const std::uint64_t before = test::figures().live_blocks;
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(test::allocate(300));
  for (int i = 0; i < 20; ++i) blocks.push_back(test::allocate(100000));
  {
    const busy_section now(hot);
    test::free_all(blocks);
    EXPECT_NE(hot.deferred, nullptr);
    const busy_section within(hot);
  }
  EXPECT_EQ(hot.deferred, nullptr);
  EXPECT_EQ(test::figures().live_blocks, before);
  check_heap();
}

TEST(EmergencyDeathTest, HandlerThatFreesTwiceIsTold) {
  const auto twice = [](std::size_t bytes) {
    void* const blocks[] = {test::allocate(bytes), test::allocate(bytes)};
    const busy_section now(hot);
    hot.room[class_of(std::min(bytes, largest_small_bytes))] = 0;
    for (void* block : blocks) deallocate(block);
    deallocate(blocks[0]);
  };
  for (const std::size_t bytes : {100, 5000, 100000}) {
    EXPECT_EXIT(twice(bytes), ::testing::KilledBySignal(SIGABRT), "tenure: double free of ");
  }
}

TEST(Emergency, BlockThatIsInAListIsLeftThereByAHandler) {
  const std::uint64_t before = test::figures().live_blocks;
  for (const std::size_t bytes : {100, 5000}) {
    // One block of each span stays in use: a span without any goes back to the page heap, and what is freed there is
    // no block of a list.
    std::map<const span*, void*> kept;
    std::vector<void*> freed;
    for (int i = 0; i < 50; ++i) {
      void* block = test::allocate(bytes);
      if (!kept.try_emplace(find_span(block), block).second) freed.push_back(block);
    }
    ASSERT_GE(freed.size(), 10u);
    for (void* block : freed) deallocate(block);
    {
      const busy_section now(hot);
      for (void* block : freed) deallocate(block);
      EXPECT_EQ(hot.deferred, nullptr);
    }
    for (const auto& [home, block] : kept) deallocate(block);
    EXPECT_EQ(test::figures().live_blocks, before);
    check_heap();
  }
}

TEST(Emergency, HandlerMayShrinkABlockInItsPlace) {
  void* block = test::allocate(1000);
  {
    const busy_section now(hot);
    EXPECT_EQ(reallocate(block, 900), block);
  }
  deallocate(block);
}

TEST(Emergency, RefusalIsNull) {
  os::fail_from_nth_call(1);
  EXPECT_EQ(emergency_allocate(100, 16), nullptr);
  os::fail_from_nth_call(0);
  EXPECT_NE(emergency_allocate(100, 16), nullptr);
}

TEST(Emergency, TableThatIsFullRefuses) {
  os::fail_from_nth_call(1);  // counts a place without costing memory
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(emergency_allocate(1, 16), nullptr);
  os::fail_from_nth_call(0);
  EXPECT_EQ(emergency_allocate(1, 16), nullptr);
  void* plain = test::allocate(100);
  EXPECT_FALSE(is_emergency_block(plain));
  deallocate(plain);
}

}  // namespace
}  // namespace tenure::core
