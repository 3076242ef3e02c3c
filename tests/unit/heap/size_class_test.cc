#include "core/heap/size_class.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <random>

#include "core/pages/span.h"

namespace tenure::core {
namespace {

// The smallest class that holds it, found by looking.
std::size_t class_by_looking(std::size_t bytes, std::size_t alignment) {
  for (std::size_t i = 1; i < class_count; ++i) {
    if (class_bytes[i] >= bytes && class_bytes[i] % alignment == 0) return i;
  }
  return 0;
}

TEST(SizeClass, SizesRiseInStepsThatWasteLittle) {
  EXPECT_EQ(class_bytes[0], 0u);
  EXPECT_EQ(class_bytes[1], 16u);
  EXPECT_EQ(class_bytes[class_count - 1], largest_small_bytes);
  for (std::size_t i = 2; i < class_count; ++i) {
    const std::uint32_t step = class_bytes[i] - class_bytes[i - 1];
    EXPECT_GE(step, 16u);
    EXPECT_EQ(class_bytes[i] % 16, 0u);
    // At most an eighth of a request, 16 bytes at the bottom.
    EXPECT_LE(step, std::max<std::uint32_t>(16, class_bytes[i - 1] / 8));
  }
}

TEST(SizeClass, IsTheSmallestThatHoldsEverySize) {
  const class_table table = make_class_table();
  for (std::size_t bytes = 1; bytes <= largest_small_bytes; ++bytes) {
    ASSERT_EQ(class_of(bytes), class_by_looking(bytes, 1)) << bytes;
    if (bytes <= largest_tabled_bytes) {
      ASSERT_EQ(table[bytes], class_of(bytes)) << bytes;
    }
  }
  EXPECT_EQ(table[0], 1);
}

TEST(SizeClass, AlignedIsTheSmallestWhoseSizeIsAMultiple) {
  for (std::size_t alignment = 1; alignment <= 2 * largest_small_bytes; alignment *= 2) {
    for (std::size_t bytes = 0; bytes <= largest_small_bytes + 1; bytes += alignment < 64 ? 1 : 7) {
      ASSERT_EQ(class_of_aligned(bytes, alignment), class_by_looking(std::max<std::size_t>(bytes, 1), alignment))
          << bytes << " at " << alignment;
    }
  }
  EXPECT_EQ(class_of_aligned(~std::size_t{0}, 16), 0u) << "rounding up wraps";
  EXPECT_EQ(class_of_aligned(~std::size_t{0} - 4096, 64), 0u);
}

bool is_start(std::uintptr_t address, std::size_t size_class) {
  return address * class_inverse(size_class) < class_inverse(size_class);
}

TEST(SizeClass, MultiplicationTellsABlocksStartAsDivisionDoes) {
  constexpr std::uintptr_t places[] = {0, std::uintptr_t{1} << 41, (std::uintptr_t{1} << 47) - 300000};
  for (std::size_t i = 1; i < class_count; ++i) {
    for (const std::uintptr_t place : places) {
      for (std::uintptr_t address = place; address < place + 200000; ++address) {
        ASSERT_EQ(is_start(address, i), address % class_bytes[i] == 0) << address << " in class " << i;
      }
    }
  }
}

TEST(SizeClass, MultiplicationIsRightForAddressesAnywhere) {
  std::mt19937_64 random(5);
  for (std::size_t i = 1; i < class_count; ++i) {
    for (int n = 0; n < 50000; ++n) {
      const std::uintptr_t address = random() >> 17;  // 47 bits
      ASSERT_EQ(is_start(address, i), address % class_bytes[i] == 0);
      const std::uintptr_t start = address / class_bytes[i] * class_bytes[i];
      ASSERT_TRUE(is_start(start, i));
      ASSERT_FALSE(is_start(start + 1, i));
      ASSERT_FALSE(is_start(start + class_bytes[i] - 1, i));
    }
  }
}

TEST(SizeClass, NoAddressIsAStartInClassZero) {
  for (const std::uintptr_t address : {std::uintptr_t{0}, std::uintptr_t{16}, std::uintptr_t{1} << 46}) {
    EXPECT_FALSE(is_start(address, 0));
  }
}

TEST(SizeClass, SpansHoldEightBlocksAtLeastAndBatchesFitTheirCount) {
  for (std::size_t i = 1; i < class_count; ++i) {
    std::uint32_t last = 0;
    for (const std::uint64_t spans : {0u, 3u, 4u, 31u, 32u, 1000u}) {
      const std::uint32_t pages = span_pages(i, spans);
      EXPECT_GE(pages, last);
      last = pages;
      // Wherever the span lies, its first block stands at a multiple of the size.
      EXPECT_GE((pages * page_size_bytes - (class_bytes[i] - 16)) / class_bytes[i], 7u) << i;
    }
    // Nothing is left over where a span begins as it wants to; never where that would be much.
    const bool is_whole = last * page_size_bytes % class_bytes[i] == 0;
    if (span_alignment(i, last) != 1) {
      EXPECT_TRUE(is_whole) << i;
      EXPECT_EQ(span_alignment(i, last) * page_size_bytes % class_bytes[i], 0u) << i;
    }
    EXPECT_TRUE(is_whole || class_bytes[i] < 8192) << i;
    EXPECT_GE(largest_batch(i), 2u);
    EXPECT_LE(largest_batch(i), 256u);
  }
}

}  // namespace
}  // namespace tenure::core
