// The parts of a process's memory sum to its RSS, whatever the mappings, counters and samples say.
#include "instruments/analyze/memory_parts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace tenure::analyze {
namespace {

using collect::mapping;
using collect::memory_map;

mapping make_mapping(std::uint64_t begin, std::uint64_t size, std::uint64_t resident, std::string name,
                     std::string permissions = "rw-p") {
  mapping one;
  one.begin = begin;
  one.end = begin + size;
  one.resident_bytes = resident;
  one.name = std::move(name);
  one.permissions = std::move(permissions);
  return one;
}

amount live_of(double bytes, double usable) {
  amount live;
  live.bytes = {bytes, 0};
  live.usable_bytes = {usable, 0};
  return live;
}

std::map<part_kind, std::uint64_t> by_kind(const memory_breakdown& of) {
  std::map<part_kind, std::uint64_t> result;
  std::uint64_t sum = 0;
  for (const memory_part& part : of.parts) {
    EXPECT_FALSE(result.contains(part.kind));
    result[part.kind] = part.resident_bytes;
    sum += part.resident_bytes;
  }
  EXPECT_EQ(sum, of.resident_bytes);
  return result;
}

TEST(MemoryParts, PutEachMappingWhereItBelongs) {
  memory_map map;
  map.statistics.window_begin = 0x100000;
  map.statistics.window_end = 0x200000;
  map.statistics.free_dirty_bytes = 1000;
  map.statistics.metadata_bytes = 70;
  map.statistics.classes[0] = {16, 1, 4096, 10, 3, 5, 100};  // 15 free blocks of 16 bytes that have memory
  map.mappings = {
      make_mapping(0x1000, 0x1000, 10, "/usr/lib/libfoo.so", "r-xp"),
      make_mapping(0x2000, 0x1000, 20, ""),  // its zeroed data
      make_mapping(0x8000, 0x1000, 90, ""),  // anonymous
      make_mapping(0x10000, 0x1000, 0, "", "---p"),
      make_mapping(0x11000, 0x8000, 30, ""),  // above a guard: a thread's stack
      make_mapping(0x100000, 0x10000, 5000, ""),
      make_mapping(0x300000, 0x1000, 40, "[stack]"),
      make_mapping(0x310000, 0x1000, 50, "/dev/shm/other"),
      make_mapping(0x320000, 0x1000, 60, "/dev/shm/tenure.1.ab/7.0.region"),
      make_mapping(0x330000, 0x1000, 1, "/usr/lib/libtenure-malloc.so"),
      make_mapping(0x331000, 0x1000, 2, ""),  // its zeroed data
      make_mapping(0x340000, 0x1000, 3, "[something new]"),
  };
  const memory_breakdown memory = break_down_memory(map, live_of(3000, 3200));
  auto parts = by_kind(memory);
  EXPECT_EQ(memory.resident_bytes, 5306u);
  EXPECT_EQ(parts[part_kind::files], 30u);
  EXPECT_EQ(parts[part_kind::heap_metadata], 70u);
  EXPECT_EQ(parts[part_kind::other_anonymous], 20u);
  EXPECT_EQ(parts[part_kind::stacks], 70u);
  EXPECT_EQ(parts[part_kind::shared_memory], 50u);
  EXPECT_EQ(parts[part_kind::tenure_region], 63u);
  EXPECT_EQ(parts[part_kind::unexplained], 3u);
  EXPECT_EQ(parts[part_kind::heap_live], 3000u);
  EXPECT_EQ(parts[part_kind::heap_rounding], 200u);
  EXPECT_EQ(parts[part_kind::heap_free_dirty], 1000u);
  EXPECT_EQ(parts[part_kind::heap_central_free], 240u);
  EXPECT_EQ(parts[part_kind::heap_thread_caches], 560u);
}

TEST(MemoryParts, CutTheEstimateToWhatIsResident) {
  memory_map map;
  map.statistics.window_begin = 0x1000;
  map.statistics.window_end = 0x2000;
  map.mappings = {make_mapping(0x1000, 0x1000, 2000, "")};
  const memory_breakdown memory = break_down_memory(map, live_of(9000, 9900));
  auto parts = by_kind(memory);
  EXPECT_EQ(parts[part_kind::heap_live], 2000u);
  ASSERT_TRUE(memory.parts[0].sampled);
  EXPECT_DOUBLE_EQ(memory.parts[0].sampled->value, 9000);
}

TEST(MemoryParts, SumToResidentWhateverIsTold) {
  std::mt19937_64 random(21);
  const std::vector<std::string> names = {"",
                                          "",
                                          "",
                                          "[heap]",
                                          "[stack]",
                                          "/a/libx.so",
                                          "/memfd:y (deleted)",
                                          "/dev/shm/t/1.0.region",
                                          "[vdso]",
                                          "[?]",
                                          "/dev/zero (deleted)"};
  for (int round = 0; round < 2000; ++round) {
    memory_map map;
    std::uint64_t at = 0x1000, expected = 0;
    for (std::size_t count = random() % 30; count > 0; --count) {
      at += random() % 3 == 0 ? 0x1000 * (random() % 10) : 0;
      const std::uint64_t size = 0x1000 * (1 + random() % 100);
      map.mappings.push_back(make_mapping(at, size, random() % (size + 1), names[random() % names.size()],
                                          random() % 4 == 0 ? "---p" : "rw-p"));
      expected += map.mappings.back().resident_bytes;
      at += size;
    }
    map.statistics.window_begin = random() % at;
    map.statistics.window_end = map.statistics.window_begin + random() % at;
    map.statistics.free_dirty_bytes = random() >> (random() % 64);
    map.statistics.metadata_bytes = random() >> (random() % 64);
    for (auto& one : map.statistics.classes)
      one = {random() >> (random() % 64), 0, 0, random() >> (random() % 64), 0, random() >> (random() % 64), 0};
    const double live = static_cast<double>(random() >> (random() % 64));
    const memory_breakdown memory = break_down_memory(map, live_of(live, live * 1.1));
    by_kind(memory);
    EXPECT_EQ(memory.resident_bytes, expected);
  }
}

}  // namespace
}  // namespace tenure::analyze
