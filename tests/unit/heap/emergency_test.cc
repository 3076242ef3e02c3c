#include "core/heap/emergency.h"

#include <csignal>
#include <map>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

// As a signal handler finds the heap that has interrupted its own thread in a slow path.
class inside_a_slow_path {
 public:
  inside_a_slow_path() { hot.busy = true; }
  ~inside_a_slow_path() { hot.busy = false; }
};

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
    inside_a_slow_path now;
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

TEST(Emergency, BlocksThatAHandlerFreesAreFreedWhenTheSlowPathEnds) {
  const std::uint64_t before = test::figures().live_blocks;
  std::vector<void*> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(test::allocate(300));
  {
    inside_a_slow_path now;
    test::free_all(blocks);
  }
  deallocate(test::allocate(5000));
  flush_own_cache();  // a slow path
  EXPECT_EQ(hot.deferred, nullptr);
  EXPECT_EQ(test::figures().live_blocks, before);
  check_heap();
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
