// The blocks of a span against a model: which are free, in which order they come, what a free block is worth.
#include "core/heap/span_blocks.h"

#include <set>
#include <vector>

#include "core/heap/heap.h"
#include "core/heap/sampled.h"
#include "core/heap/thinning.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

std::vector<free_block*> take(span* from, std::uint32_t wanted) {
  block_chain chain;
  take_blocks(from, wanted, &chain);
  std::vector<free_block*> taken;
  for (free_block* block = chain.first; block != nullptr; block = next_of(block)) taken.push_back(block);
  EXPECT_EQ(taken.size(), chain.count);
  return taken;
}

class SpanBlocks : public ::testing::Test {
 protected:
  void SetUp() override { initialize(); }
  void TearDown() override { check_heap(); }

  // Of no list, so that nobody else takes blocks from it.
  static span* make(std::size_t size_class, std::uint32_t pages) {
    return make_block_span(size_class, pages, span_kind::named_small, &sampled_heap());
  }
};

TEST_F(SpanBlocks, EveryClassHasItsBlocksAtItsMultiplesWithinTheSpan) {
  for (std::size_t size_class = 1; size_class < class_count; ++size_class) {
    for (const std::uint64_t in_use : {0, 10, 100}) {
      span* of = make(size_class, span_pages(size_class, in_use));
      ASSERT_NE(of, nullptr);
      const std::size_t size = class_bytes[size_class];
      const std::uintptr_t begin = page_address(of->first_page);
      const std::uintptr_t end = begin + (std::uintptr_t{of->page_count} << page_shift);
      std::uint32_t index = 0;
      for (std::uintptr_t at = (begin + size - 1) / size * size; at + size <= end; at += size, ++index) {
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block_at(of, index)), at);
        ASSERT_EQ(index_of(of, reinterpret_cast<void*>(at)), index);
        ASSERT_TRUE(is_free(of, index));
      }
      ASSERT_EQ(of->block_count, index);
      check_blocks(of);
      release_span(of, true);
    }
  }
}

TEST_F(SpanBlocks, LowestAddressesComeFirstAndEachOnce) {
  dice random(5);
  for (const std::size_t bytes : {16u, 48u, 80u, 256u, 1024u, 20480u}) {
    span* of = make(class_of(bytes), span_pages(class_of(bytes), 100));
    ASSERT_NE(of, nullptr);
    std::set<free_block*> free;
    for (std::uint32_t i = 0; i < of->block_count; ++i) free.insert(block_at(of, i));
    std::vector<free_block*> out;
    for (int round = 0; round < 300; ++round) {
      const std::vector<free_block*> taken = take(of, 1 + random.below(of->block_count / 3));
      for (free_block* block : taken) {
        ASSERT_EQ(block, *free.begin()) << "not the lowest of the free ones";
        free.erase(free.begin());
        out.push_back(block);
      }
      for (std::uint32_t left = random.below(static_cast<std::uint32_t>(out.size() + 1)); left != 0; --left) {
        std::swap(out[random.below(static_cast<std::uint32_t>(out.size()))], out.back());
        put_block(of, out.back());
        ASSERT_TRUE(free.insert(out.back()).second);
        out.pop_back();
      }
      ASSERT_EQ(of->free_count, free.size());
      check_blocks(of);
    }
    release_span(of, false);
  }
}

TEST_F(SpanBlocks, AbsentOnesComeLast) {
  span* of = make(class_of(1024), 4);
  ASSERT_NE(of, nullptr);
  const std::vector<free_block*> all = take(of, of->block_count / 2);
  for (free_block* block : all) {
    if (block != all[0]) put_block(of, block);
  }
  thinning_plan plan;
  plan_thinning(of, &plan);
  ASSERT_TRUE(mark_absent(of, plan));
  ASSERT_GT(of->absent_count, 0u);
  check_blocks(of);
  const std::uint32_t absent = of->absent_count;
  for (free_block* block : take(of, of->free_count - absent)) EXPECT_FALSE(is_absent(of, index_of(of, block)));
  EXPECT_EQ(of->absent_count, absent);
  EXPECT_EQ(take(of, absent + 5).size(), absent);
  EXPECT_EQ(of->absent_count, 0u);
  EXPECT_EQ(of->free_count, 0u);
  check_blocks(of);
  release_span(of, false);
}

TEST_F(SpanBlocks, ABlockThatIsPutBackTwiceEndsTheProgram) {
  span* of = make(class_of(64), 1);
  ASSERT_NE(of, nullptr);
  free_block* block = take(of, 3)[1];
  put_block(of, block);
  EXPECT_DEATH(put_block(of, block), "");
  release_span(of, false);
}

TEST_F(SpanBlocks, WithoutMemoryForTheBitsThereIsNoSpan) {
  purge();
  const std::size_t used = used_bytes();
  std::vector<span*> made;
  os::fail_from_nth_call(1);
  for (int i = 0; i < 100000; ++i) {
    span* of = make(1, 4);
    if (of == nullptr) break;
    made.push_back(of);
  }
  EXPECT_EQ(make(1, 4), nullptr);
  os::fail_from_nth_call(0);
  EXPECT_EQ(used_bytes(), used + made.size() * 4 * page_size_bytes);
  for (span* of : made) release_span(of, false);
}

}  // namespace
}  // namespace tenure::core
