#include "core/base/bits.h"

#include <gtest/gtest.h>
#include <cstdint>

namespace tenure::core {
namespace {

TEST(Bits, AlignsUpAndDownToTheNearestMultiple) {
  for (std::uintptr_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::uintptr_t value = 0; value < 10000; value += 7) {
      const std::uintptr_t down = value / alignment * alignment;
      const std::uintptr_t up = (value + alignment - 1) / alignment * alignment;
      ASSERT_EQ(align_down(value, alignment), down);
      ASSERT_EQ(align_up(value, alignment), up);
      ASSERT_EQ(is_aligned(value, alignment), value % alignment == 0);
    }
  }
}

TEST(Bits, KnowsThePowersOfTwo) {
  std::uint32_t powers = 0;
  for (std::uint32_t value = 0; value <= 65536; ++value) powers += is_power_of_two(value) ? 1 : 0;
  EXPECT_EQ(powers, 17u);  // 2^0 to 2^16
  EXPECT_TRUE(is_power_of_two(std::uint64_t{1} << 63));
}

TEST(Bits, FindsTheHighestSetBit) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    EXPECT_EQ(floor_log2(power), bit);
    EXPECT_EQ(floor_log2(power | (power - 1)), bit);
  }
}

}  // namespace
}  // namespace tenure::core
