#include "core/base/spelling.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace tenure::core {
namespace {

std::size_t distance(const std::string& a, const std::string& b) {
  return spelling_distance(a.data(), a.size(), b.data(), b.size());
}

// The definition, word for word.
std::size_t defined(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return std::max(a.size(), b.size());
  const std::string rest_a = a.substr(1), rest_b = b.substr(1);
  if (a[0] == b[0]) return defined(rest_a, rest_b);
  return 1 + std::min({defined(rest_a, rest_b), defined(a, rest_b), defined(rest_a, b)});
}

TEST(Spelling, CountsLettersPutInLeftOutAndReplaced) {
  EXPECT_EQ(distance("kitten", "sitting"), 3u);
  EXPECT_EQ(distance("decay", "DECAY"), 0u);
  EXPECT_EQ(distance("", "abc"), 3u);
  EXPECT_EQ(distance("", ""), 0u);
}

TEST(Spelling, IsAsDefinedForAllShortWords) {
  std::vector<std::string> words = {""};
  for (std::size_t from = 0; words.size() < 121; ++from) {
    for (const char letter : {'a', 'b', 'c'}) words.push_back(words[from] + letter);
  }
  for (const std::string& a : words) {
    for (const std::string& b : words) ASSERT_EQ(distance(a, b), defined(a, b)) << a << " " << b;
  }
}

TEST(Spelling, NamesThatAreTooLongAreFarFromAll) {
  EXPECT_EQ(distance(std::string(longest_spelled, 'a'), std::string(longest_spelled, 'b')), longest_spelled);
  EXPECT_EQ(distance(std::string(longest_spelled + 1, 'a'), "a"), SIZE_MAX);
  EXPECT_EQ(distance("a", std::string(longest_spelled + 1, 'a')), SIZE_MAX);
}

}  // namespace
}  // namespace tenure::core
