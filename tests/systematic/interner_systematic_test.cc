// A counted interner step by step: readers that have found an entry stop before and after they take a reference to it,
// while others let the last one go, free the entry and put another string of the same size in its place.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <tenure/interner.hpp>

#include "library/ref/string_table.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

constexpr std::uint64_t hash_seed = 5;

// Of one shard, so that they use one another's entries.
std::vector<std::string> neighbours() {
  std::vector<std::string> found;
  for (int i = 10'000; found.size() < 3; ++i) {
    std::string text = std::to_string(i);
    if (detail::shard_of(detail::hash_of(text, hash_seed)) == 0) found.push_back(std::move(text));
  }
  return found;
}

TEST(interner_systematic, a_reader_gets_the_string_it_asked_for) {
  const std::vector<std::string> texts = neighbours();
  for (std::uint64_t seed = 0; seed < test::rounds(1500u); ++seed) {
    counted_interner strings({.name = "systematic", .hash_seed = hash_seed});
    systematic threads(seed);
    for (std::size_t number = 0; number < 3; ++number) {
      threads.add([&, number] {
        for (std::size_t i = 0; i < 4; ++i) {
          const std::string& text = texts[(i * (number + 1) + number) % 3];
          counted_symbol one = strings.intern(text);
          ASSERT_EQ(one.view(), text) << "seed " << seed;
          const counted_symbol again = strings.find(text);
          ASSERT_EQ(again, one) << "seed " << seed;
          one = counted_symbol();
          ASSERT_EQ(again.view(), text) << "seed " << seed;
        }
      });
    }
    threads.run();
    ASSERT_EQ(strings.statistics().strings, 0u) << "seed " << seed;
    strings.check();
  }
}

// Somebody has it between the look at its age and the end of it: its grace has begun anew.
TEST(interner_systematic, a_string_that_is_used_while_it_is_swept_has_its_grace) {
  int swept = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(200u); ++seed) {
    counted_interner strings({.name = "systematic", .grace = std::chrono::hours(24), .hash_seed = hash_seed});
    detail::counted_string* entry = nullptr;
    {
      const counted_symbol one = strings.intern("text");
      std::memcpy(&entry, &one, sizeof entry);
    }
    entry->idle_since_ms -= 25 * 3'600'000;
    systematic threads(seed);
    threads.add([&] { swept += static_cast<int>(strings.sweep()); });
    threads.add([&] { ASSERT_EQ(strings.intern("text").view(), "text") << "seed " << seed; });
    threads.run();
    ASSERT_EQ(strings.statistics().strings, 1u) << "seed " << seed;
    strings.check();
  }
  EXPECT_GT(swept, test::rounds(10));
  EXPECT_LT(swept, 190);
}

}  // namespace
