// Each misuse is committed in a child process and its message held against what was done.
#include "core/heap/misuse.h"

#include <set>
#include <vector>

#include "core/base/options.h"
#include "core/heap/named_heap.h"
#include "core/telemetry/telemetry.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

#define EXPECT_MISUSE(statement, sentence) \
  EXPECT_EXIT(statement, ::testing::KilledBySignal(SIGABRT), "tenure: " sentence "0x[0-9a-f]+")

// An address of which the compiler knows nothing: it would warn of what is done here on purpose.
void* unknown(void* address) {
  asm volatile("" : "+r"(address));
  return address;
}

class MisuseDeathTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { initialize(); }
};

TEST_P(MisuseDeathTest, DoubleFreeAtOnce) {
  const auto twice = [](std::size_t bytes) {
    void* block = test::allocate(bytes);
    deallocate(block);
    deallocate(block);
  };
  EXPECT_MISUSE(twice(GetParam()), "double free of ");
}

TEST_P(MisuseDeathTest, DoubleFreeAfterManyOthers) {
  const auto later = [](std::size_t bytes) {
    std::vector<void*> blocks;
    for (int i = 0; i < 300; ++i) blocks.push_back(test::allocate(bytes));
    for (void* block : blocks) deallocate(block);
    deallocate(blocks[150]);
  };
  EXPECT_MISUSE(later(GetParam()), "double free of ");
}

TEST_P(MisuseDeathTest, InteriorPointer) {
  void* block = test::allocate(GetParam());
  EXPECT_MISUSE(deallocate(static_cast<char*>(block) + 8), "free of an interior pointer ");
  EXPECT_MISUSE(deallocate(static_cast<char*>(block) + usable_bytes(block) - 1), "free of an interior pointer ");
  deallocate(block);
}

TEST_P(MisuseDeathTest, ReallocOfWhatIsNoBlock) {
  void* block = test::allocate(GetParam());
  EXPECT_MISUSE(reallocate(static_cast<char*>(block) + 8, 100), "free of an interior pointer ");
  deallocate(block);
}

TEST_P(MisuseDeathTest, DoubleFreeIntoANamedHeap) {
  const auto twice = [](std::size_t bytes) {
    named_heap* heap = create_named_heap("n");
    heap->allocate(bytes, 16);
    void* block = heap->allocate(bytes, 16);
    deallocate(block);
    deallocate(block);
  };
  EXPECT_MISUSE(twice(GetParam()), "double free of ");
}

TEST_P(MisuseDeathTest, DoubleFreeOfASample) {
  const auto twice = [](std::size_t bytes) {
    telemetry::set_sample_interval_bytes(4096);
    own_record()->clock.next();
    for (int i = 0; i < 100000; ++i) {
      void* block = test::allocate(bytes);
      const span* home = find_span(block);
      if (!home->sampled && home->kind != span_kind::named_small) continue;
      deallocate(block);
      deallocate(block);
      return;
    }
  };
  EXPECT_MISUSE(twice(GetParam()), "double free of ");
}

INSTANTIATE_TEST_SUITE_P(Sizes, MisuseDeathTest, ::testing::Values(16, 100, 5000, 100000));

TEST(MisuseForeignDeathTest, ForeignPointers) {
  int on_stack = 0;
  static int in_data = 0;
  EXPECT_MISUSE(deallocate(unknown(&on_stack)), "free of a foreign pointer ");
  deallocate(test::allocate(10));
  EXPECT_MISUSE(deallocate(unknown(&on_stack)), "free of a foreign pointer ");
  EXPECT_MISUSE(deallocate(unknown(&in_data)), "free of a foreign pointer ");
}

TEST(MisuseMessageDeathTest, SaysWhatLiesThere) {
  void* block = test::allocate(100);
  EXPECT_EXIT(deallocate(static_cast<char*>(block) + 24), ::testing::KilledBySignal(SIGABRT),
              "it lies 24 bytes into the block of 112 bytes at 0x[0-9a-f]+, in process [0-9]+, thread [0-9]+");
  deallocate(block);
}

TEST(Misuse, IsToldAndIgnoredWhenTheOptionSaysSo) {
  set_value(option::abort_on_misuse, 0);
  void* block = test::allocate(100);
  const std::uint64_t before = test::figures().live_blocks;
  ::testing::internal::CaptureStderr();
  deallocate(static_cast<char*>(block) + 8);
  deallocate(block);
  deallocate(block);
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("interior pointer"), std::string::npos);
  EXPECT_NE(told.find("double free"), std::string::npos);
  EXPECT_EQ(test::figures().live_blocks, before - 1);
  check_heap();
  set_value(option::abort_on_misuse, 1);
}

// A block whose content looks like a link is free to be freed.
TEST(Misuse, ContentThatLooksLikeAFreeBlocksIsNoDoubleFree) {
  for (int i = 0; i < 100; ++i) {
    void* block = test::allocate(64);
    void* other = test::allocate(64);
    *static_cast<std::uintptr_t*>(block) = encode_link(other);
    deallocate(block);
    *static_cast<std::uintptr_t*>(other) = empty_link;
    deallocate(other);
  }
  check_heap();
}

// Whoever asks has looked the class up without a lock, and the span may have gone to somebody else since.
TEST(Misuse, ABlockWhoseSpanServesSomethingElseNowIsFree) {
  void* large = test::allocate(std::size_t{1} << 20);
  EXPECT_TRUE(is_free_block(static_cast<free_block*>(large), class_of(64)));
  void* small = test::allocate(128);
  EXPECT_TRUE(is_free_block(static_cast<free_block*>(small), class_of(64)));
  EXPECT_FALSE(is_free_block(static_cast<free_block*>(small), class_of(128)));
  deallocate(small);
  deallocate(large);
}

// Which blocks of a span are free does not stand in them: what is written there after the free harms nobody.
TEST(Misuse, WhatIsWrittenIntoAFreeBlockOfASpanHarmsNothing) {
  std::vector<void*> all;
  for (int i = 0; i < 4000; ++i) all.push_back(test::allocate(64));
  std::set<void*> blocks;
  std::vector<void*> freed;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 2 == 0) deallocate(all[i]);
    i % 2 == 0 ? freed.push_back(all[i]) : static_cast<void>(blocks.insert(all[i]));
  }
  purge();  // the blocks are the spans' now
  check_heap();
  for (void* block : freed) *static_cast<std::uintptr_t*>(block) = 0x4141414141414141;
  for (int i = 0; i < 4000; ++i) ASSERT_TRUE(blocks.insert(test::allocate(64)).second) << "a block that somebody has";
  check_heap();
  for (void* block : blocks) deallocate(block);
}

}  // namespace
}  // namespace tenure::core
