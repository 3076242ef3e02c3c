// A rule is found under the address it was kept for, and under no other, whatever shares its places.
#include "core/telemetry/rule_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

using namespace tenure::telemetry;

namespace {

unwind_rule stack_rule(std::int32_t cfa_words) {
  unwind_rule rule;
  rule.kind = rule_kind::caller;
  rule.cfa_offset = cfa_words * 8;
  rule.return_address = {place::cfa, -8};
  return rule;
}

// 0 when the cache has none.
compact_rule look_up(const rule_cache& cache, std::uint64_t address) {
  const rule_cache::view rules = cache.current();
  for (const std::uint64_t word : {rule_cache::first_word(rules, address), rule_cache::second_word(rules, address)}) {
    if (rule_cache::matches(word, address)) return rule_cache::rule_in(word);
  }
  return 0;
}

class rule_cache_test : public ::testing::Test {
 protected:
  void keep(std::uint64_t address, std::int32_t cfa_words) {
    cache_->insert(address, cache_->shorten(stack_rule(cfa_words)), cache_->generation());
  }
  std::int32_t found(std::uint64_t address) const {
    return static_cast<std::int32_t>(compact_cfa_offset(look_up(*cache_, address)) / 8);
  }
  std::unique_ptr<rule_cache> cache_ = std::make_unique<rule_cache>();
};

constexpr std::uint64_t stride = std::uint64_t{1} << rule_cache::most_bits;  // same places in a table of any size

TEST_F(rule_cache_test, keeps_two_addresses_that_share_a_place) {
  const std::uint64_t address = 0x55d5'1234'5678;
  keep(address, 3);
  keep(address + stride, 5);
  EXPECT_EQ(found(address), 3);
  EXPECT_EQ(found(address + stride), 5);
  cache_->check();
}

TEST_F(rule_cache_test, does_not_take_a_displaced_rule_for_that_of_an_address_one_bit_away) {
  const std::uint64_t address = 0x55d5'1234'5678;
  keep(address, 3);
  keep(address + stride, 5);  // the first is in its second place now
  for (unsigned bit = 0; bit < 48; ++bit) {
    const std::uint64_t other = address ^ std::uint64_t{1} << bit;
    EXPECT_EQ(found(other), other == address + stride ? 5 : 0) << "bit " << bit;
  }
}

// Against a map: many more addresses than words, close together as those of real code are.
TEST_F(rule_cache_test, finds_the_rule_of_the_very_address_or_none) {
  std::mt19937_64 dice(7);
  std::map<std::uint64_t, std::int32_t> kept;
  std::uint64_t hits = 0;
  for (int i = 0; i < 300000; ++i) {
    const std::uint64_t address = 0x7f00'0000'0000 + dice() % 4 * 0x1'0000'0000 + dice() % 10000;
    const auto [known, fresh] = kept.try_emplace(address, static_cast<std::int32_t>(1 + dice() % 1000));
    if (const std::int32_t rule = found(address); rule != 0) {
      ASSERT_FALSE(fresh) << std::hex << address << " was never kept";
      ASSERT_EQ(rule, known->second);
      ++hits;
    } else {
      keep(address, known->second);
    }
  }
  EXPECT_GT(hits, 50000u);
  cache_->check();
}

}  // namespace
