// The table of live blocks against a map.
#include "instruments/collect/live_addresses.h"

#include <gtest/gtest.h>

#include <map>

#include "support/dice.h"

namespace tenure::collect {
namespace {

std::map<std::uint64_t, std::uint32_t> contents(const live_addresses& table) {
  std::map<std::uint64_t, std::uint32_t> result;
  table.for_each(
      [&](std::uint64_t address, std::uint32_t slot) { EXPECT_TRUE(result.emplace(address, slot).second) << address; });
  return result;
}

TEST(live_addresses, knows_what_a_map_knows) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    test::dice dice(seed);
    live_addresses table;
    std::map<std::uint64_t, std::uint32_t> expected;
    // Few addresses, so that blocks come and go at the same ones and their places meet; 0 is one of them.
    const std::uint32_t addresses = 1u << (3 + seed);
    for (std::uint32_t i = 0; i < 60'000; ++i) {
      const std::uint64_t address = std::uint64_t{dice.below(addresses)} << dice.below(3) * 16;
      if (dice.one_in(2)) {
        table.set(address, i);
        expected[address] = i;
      } else {
        table.erase(address);
        expected.erase(address);
      }
      const std::uint64_t asked = dice.below(addresses);
      const std::uint32_t* const found = table.find(asked);
      ASSERT_EQ(found != nullptr, expected.contains(asked));
      if (found != nullptr) {
        ASSERT_EQ(*found, expected[asked]);
      }
      ASSERT_EQ(table.size(), expected.size());
    }
    EXPECT_EQ(contents(table), expected);
  }
}

TEST(live_addresses, is_empty_when_everything_has_gone) {
  live_addresses table;
  EXPECT_EQ(table.find(0), nullptr);
  table.erase(64);
  for (std::uint32_t i = 0; i < 5000; ++i) table.set(i * 16, i);
  for (std::uint32_t i = 0; i < 5000; ++i) table.erase(i * 16);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_TRUE(contents(table).empty());
}

}  // namespace
}  // namespace tenure::collect
