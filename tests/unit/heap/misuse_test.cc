// Each misuse is committed in a child process and its message held against what was done.
#include "core/heap/misuse.h"

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

// What is written into a freed block breaks no other: the heap says so when it finds out.
TEST(MisuseCorruptionDeathTest, BrokenChainOfASpanIsNoticed) {
  const auto overwrite = [] {
    std::vector<void*> blocks;
    for (int i = 0; i < 4000; ++i) blocks.push_back(test::allocate(64));
    for (std::size_t i = 0; i < blocks.size(); i += 2) deallocate(blocks[i]);
    purge();  // the lists are the spans' now
    for (std::size_t i = 0; i < blocks.size(); i += 2) *static_cast<std::uintptr_t*>(blocks[i]) = 0x4141414141414141;
    for (int i = 0; i < 4000; ++i) test::allocate(64);
  };
  EXPECT_EXIT(overwrite(), ::testing::KilledBySignal(SIGABRT), "tenure: check failed");
}

}  // namespace
}  // namespace tenure::core
