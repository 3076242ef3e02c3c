// The functions that the C entry points are made of: sizes, alignment, zeroes, realloc, questions about addresses.
#include "core/heap/heap.h"

#include <thread>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

class Heap : public ::testing::Test {
 protected:
  void TearDown() override {
    os::fail_from_nth_call(0);
    check_heap();
  }
};

TEST_F(Heap, EverySizeIsServedAlignedAndWhole) {
  std::vector<test::filled_block> blocks;
  for (std::size_t bytes = 0; bytes < 70000; bytes += bytes < 2100 ? 1 : 997) {
    blocks.push_back(test::filled_block::make(bytes, static_cast<unsigned char>(bytes)));
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back().start) % 16, 0u);
    ASSERT_GE(usable_bytes(blocks.back().start), bytes);
    std::memset(blocks.back().start, blocks.back().seed, usable_bytes(blocks.back().start));
  }
  for (const test::filled_block& block : blocks) {
    ASSERT_TRUE(block.is_intact());
    deallocate(block.start);
  }
}

TEST_F(Heap, ImpossibleSizesAreRefused) {
  for (const std::size_t bytes : {static_cast<std::size_t>(PTRDIFF_MAX), static_cast<std::size_t>(PTRDIFF_MAX) + 1,
                                  ~std::size_t{0}, ~std::size_t{0} - 4096, std::size_t{1} << 46}) {
    EXPECT_EQ(allocate(bytes, wire::allocation_entry::malloc), nullptr);
    EXPECT_EQ(allocate_zeroed(bytes), nullptr);
    EXPECT_EQ(allocate_aligned(bytes, 64, wire::allocation_entry::aligned), nullptr);
  }
  EXPECT_EQ(allocate_aligned(1, std::size_t{1} << 62, wire::allocation_entry::aligned), nullptr);
  EXPECT_EQ(allocate_aligned(1, std::size_t{1} << 46, wire::allocation_entry::aligned), nullptr);
}

TEST_F(Heap, EveryAlignmentIsKept) {
  for (std::size_t alignment = 1; alignment <= (8 << 20); alignment *= 2) {
    for (const std::size_t bytes : {0u, 1u, 24u, 1000u, 5000u, 40000u, 300000u}) {
      void* block = allocate_aligned(bytes, alignment, wire::allocation_entry::aligned);
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u) << bytes;
      ASSERT_GE(usable_bytes(block), bytes);
      std::memset(block, 1, bytes);
      deallocate(block);
    }
  }
}

TEST_F(Heap, ZeroedBlocksAreZeroWhateverLayThereBefore) {
  dice random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::size_t bytes = random.one_in(30) ? 1 + random.below(1000000) : 1 + random.below(5000);
    auto* block = static_cast<unsigned char*>(allocate_zeroed(bytes));
    ASSERT_NE(block, nullptr);
    for (std::size_t k = 0; k<bytes; k += bytes> 10000 ? 509 : 1) ASSERT_EQ(block[k], 0) << bytes;
    std::memset(block, 0xff, usable_bytes(block));
    deallocate(block);
    if (i % 200 == 0) return_pages(0);
  }
}

TEST_F(Heap, ReallocKeepsTheContentOnEveryPath) {
  dice random(2);
  for (const bool sampled : {false, true}) {
    telemetry::set_sample_interval_bytes(sampled ? 4096 : 0);
    std::thread([&] {
      auto block = test::filled_block::make(10, 1);
      for (int i = 0; i < 3000; ++i) {
        const std::size_t bytes = 1 + random.below(random.one_in(4) ? 3000000 : random.below(2) == 0 ? 100000 : 2000);
        const test::filled_block kept{block.start, std::min(bytes, block.bytes), block.seed};
        block.start = static_cast<unsigned char*>(reallocate(block.start, bytes));
        ASSERT_NE(block.start, nullptr);
        ASSERT_TRUE((test::filled_block{block.start, kept.bytes, kept.seed}).is_intact())
            << block.bytes << " to " << bytes;
        ASSERT_GE(usable_bytes(block.start), bytes);
        block.bytes = bytes;
        block.seed = static_cast<unsigned char>(random());
        std::memset(block.start, block.seed, bytes);
        if (random.one_in(3)) deallocate(test::allocate(random.below(200000)));  // something behind it, at times
      }
      deallocate(block.start);
    }).join();
  }
  telemetry::set_sample_interval_bytes(0);
}

TEST_F(Heap, ReallocOfALargeBlockGrowsInPlaceOrMovesPages) {
  constexpr std::size_t large = 8 << 20;
  auto* block = static_cast<unsigned char*>(test::allocate(large));
  std::memset(block, 7, large);
  auto* grown = static_cast<unsigned char*>(reallocate(block, 2 * large));
  ASSERT_NE(grown, nullptr);
  void* in_the_way = test::allocate(large);
  auto* moved = static_cast<unsigned char*>(reallocate(grown, 6 * large));
  ASSERT_NE(moved, nullptr);
  for (std::size_t i = 0; i < large; i += 4001) ASSERT_EQ(moved[i], 7);
  auto* shrunk = static_cast<unsigned char*>(reallocate(moved, large));
  EXPECT_EQ(shrunk, moved) << "shrinking moves nothing";
  EXPECT_LE(usable_bytes(shrunk), large + page_size_bytes);
  for (std::size_t i = 0; i < large; i += 4001) ASSERT_EQ(shrunk[i], 7);
  deallocate(shrunk);
  deallocate(in_the_way);
}

TEST_F(Heap, ReallocThatIsRefusedLeavesTheBlockAsItWas) {
  test::filled_block block = test::filled_block::make(700000, 9);
  EXPECT_EQ(reallocate(block.start, static_cast<std::size_t>(PTRDIFF_MAX)), nullptr);
  EXPECT_TRUE(block.is_intact());
  os::fail_from_nth_call(1);
  EXPECT_EQ(reallocate(block.start, std::size_t{1} << 32), nullptr);
  os::fail_from_nth_call(0);
  EXPECT_TRUE(block.is_intact());
  deallocate(block.start);
}

// The kernel refuses to move pages: then they are copied.
TEST_F(Heap, ReallocCopiesWherePagesCannotBeMoved) {
  for (std::uint64_t nth = 1; nth <= 4; ++nth) {
    test::filled_block block = test::filled_block::make(1 << 20, 9);
    void* behind = test::allocate(1 << 20);
    deallocate(test::allocate(16 << 20));  // room for the new place
    os::fail_from_nth_call(nth);
    auto* moved = static_cast<unsigned char*>(reallocate(block.start, 12 << 20));
    os::fail_from_nth_call(0);
    if (moved != nullptr) block.start = moved;
    EXPECT_TRUE(block.is_intact()) << nth;
    deallocate(block.start);
    deallocate(behind);
  }
}

TEST_F(Heap, AnyAddressLeadsToItsBlock) {
  for (const std::size_t bytes : {1u, 100u, 1000u, 30000u, 100000u}) {
    auto* block = static_cast<char*>(test::allocate(bytes));
    const std::size_t usable = usable_bytes(block);
    for (std::size_t offset = 0; offset < usable; offset += 1 + usable / 50) {
      std::size_t found_bytes = 0;
      ASSERT_EQ(block_start(block + offset, &found_bytes), block);
      ASSERT_EQ(found_bytes, usable);
      if (offset != 0) {
        ASSERT_EQ(usable_bytes(block + offset), 0u);
      }
    }
    deallocate(block);
  }
  int on_stack = 0;
  std::size_t bytes = 0;
  EXPECT_EQ(block_start(&on_stack, &bytes), nullptr);
  EXPECT_EQ(usable_bytes(nullptr), 0u);
  EXPECT_EQ(usable_bytes(&on_stack), 0u);
}

TEST_F(Heap, PurgeGivesBackEverythingThatIsFree) {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 20000; ++i) blocks.push_back(test::allocate(i % 3000));
  test::free_all(blocks);
  EXPECT_GT(purge(), 0u);
  const heap_figures now = test::figures();
  EXPECT_EQ(now.cached_bytes, 0u);
  EXPECT_EQ(now.batch_bytes, 0u);
  EXPECT_EQ(now.free_dirty_bytes, 0u);
  test::expect_to_add_up(now);
}

// Whatever call fails, and all after it: null or a block, never a broken heap.
TEST_F(Heap, SystemThatRefusesFromTheNthCallOnIsSurvived) {
  for (std::uint64_t nth = 1; nth <= 12; ++nth) {
    std::vector<test::filled_block> blocks;
    os::fail_from_nth_call(nth);
    for (std::size_t i = 0; i < 60; ++i) {
      const std::size_t bytes = i % 5 == 0 ? (std::size_t{1} << 20) + i * 4096 : 100 * i + 1;
      auto* start = static_cast<unsigned char*>(allocate(bytes, wire::allocation_entry::malloc));
      if (start == nullptr) continue;
      std::memset(start, static_cast<int>(i), bytes);
      blocks.push_back({start, bytes, static_cast<unsigned char>(i)});
    }
    os::fail_from_nth_call(1);
    EXPECT_EQ(allocate(std::size_t{4} << 30, wire::allocation_entry::malloc), nullptr) << "the system did not refuse";
    os::fail_from_nth_call(0);
    for (const test::filled_block& block : blocks) {
      ASSERT_TRUE(block.is_intact());
      deallocate(block.start);
    }
    check_heap();
    purge();
  }
}

}  // namespace
}  // namespace tenure::core
