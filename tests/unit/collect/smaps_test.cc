#include "instruments/collect/smaps.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

namespace tenure::collect {
namespace {

constexpr std::string_view two_groups =
    "55d0c0000000-55d0c0021000 rw-p 00001000 fe:01 1234                       /usr/lib/with blank.so (deleted)\n"
    "Size:                132 kB\n"
    "Rss:                 100 kB\n"
    "Anonymous:            64 kB\n"
    "Swap:                 12 kB\n"
    "VmFlags: rd wr mr mw me ac sd\n"
    "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
    "Rss:                   0 kB\n";

TEST(Smaps, ReadsNamesAndFigures) {
  const auto mappings = parse_smaps(two_groups, false);
  ASSERT_EQ(mappings.size(), 2u);
  EXPECT_EQ(mappings[0].begin, 0x55d0c0000000u);
  EXPECT_EQ(mappings[0].end, 0x55d0c0021000u);
  EXPECT_EQ(mappings[0].offset_bytes, 0x1000u);
  EXPECT_EQ(mappings[0].permissions, "rw-p");
  EXPECT_EQ(mappings[0].name, "/usr/lib/with blank.so (deleted)");
  EXPECT_EQ(mappings[0].resident_bytes, 100u * 1024);
  EXPECT_EQ(mappings[0].anonymous_bytes, 64u * 1024);
  EXPECT_EQ(mappings[0].swapped_bytes, 12u * 1024);
  EXPECT_TRUE(mappings[1].name.empty());
}

TEST(Smaps, LeavesOutTheGroupThatIsCutOff) {
  // The head and a part of the figures are there: a resident size of zero would be invented.
  const std::string_view cut = two_groups.substr(0, two_groups.rfind("Rss:") + 6);
  const auto mappings = parse_smaps(cut, true);
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings[0].resident_bytes, 100u * 1024);
}

TEST(Smaps, SumsToTheKernelsOwnSum) {
  // smaps_rollup is the kernel's addition of the same figures.
  const auto read = [](const char* path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  // Twice, so that what reading itself needs is there before; nothing is parsed in between.
  read("/proc/self/smaps");
  const std::string text = read("/proc/self/smaps");
  const std::string rollup = read("/proc/self/smaps_rollup");
  const memory_map map = make_memory_map(text, false, 1);
  const std::uint64_t expected = std::stoull(rollup.substr(rollup.find("Rss:") + 4)) * 1024;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double between_readings_bytes = 1024 * 1024;  // their own memory moves while the text is read
#else
  constexpr double between_readings_bytes = 256 * 1024;
#endif
  EXPECT_NEAR(static_cast<double>(map.resident_bytes), static_cast<double>(expected), between_readings_bytes);
}

TEST(Smaps, SurvivesDamage) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text(two_groups);
    for (int change = 0; change < 8; ++change) text[random() % text.size()] = static_cast<char>(random());
    std::uint64_t sum = 0;
    for (const mapping& one : parse_smaps(text, round % 2 == 0)) {
      EXPECT_LT(one.begin, one.end);
      sum += one.resident_bytes;
    }
    EXPECT_LT(sum, 1ull << 50);
  }
}

}  // namespace
}  // namespace tenure::collect
