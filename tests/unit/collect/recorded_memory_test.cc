// What is written of a process's memory is read as it was; nothing that is cut off or makes no sense is taken.
#include "instruments/collect/recorded_memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/dice.h"
#include "support/made_recording.h"

namespace tenure::collect {
namespace {

memory_map thrown_memory(std::uint32_t seed) {
  test::dice dice(seed);
  memory_map map;
  map.time_ns = 1'000'000 + dice.below(1u << 30);
  wire::heap_statistics& heap = map.statistics;
  for (std::uint64_t* figure :
       {&heap.chunk_bytes, &heap.small_span_bytes, &heap.large_span_bytes, &heap.large_span_count,
        &heap.named_heap_span_bytes, &heap.sampled_span_bytes, &heap.free_dirty_bytes, &heap.free_clean_bytes,
        &heap.metadata_bytes, &heap.thread_cache_count, &heap.huge_page_bytes, &heap.window_begin, &heap.window_end})
    *figure = std::uint64_t{dice.below(1u << 30)} << dice.below(20);
  for (std::uint32_t i = 0; i < dice.below(wire::size_class_capacity + 1); ++i)
    heap.classes[i] = {16 * (i + 1),   dice.below(99), dice.below(1u << 20), dice.below(99),
                       dice.below(99), dice.below(99), dice.below(99)};
  std::uint64_t at = dice.below(1u << 20);
  for (std::uint32_t i = 0; i < dice.below(60); ++i) {
    mapping one;
    one.begin = at + 4096ull * dice.below(100);
    one.end = at = one.begin + 4096ull * (1 + dice.below(100));
    one.offset_bytes = 4096ull * dice.below(9);
    one.resident_bytes = 4096ull * dice.below(100);
    one.anonymous_bytes = dice.below(4096);
    one.swapped_bytes = dice.below(3);
    one.permissions = "rw-p";
    one.name = dice.one_in(3) ? "" : "/lib/some.so." + std::to_string(i);
    map.mappings.push_back(one);
    map.resident_bytes += one.resident_bytes;
  }
  return map;
}

void expect_equal(const memory_map& one, const memory_map& other) {
  EXPECT_EQ(one.time_ns, other.time_ns);
  EXPECT_EQ(one.resident_bytes, other.resident_bytes);
  EXPECT_EQ(one.mappings, other.mappings);
  EXPECT_EQ(std::memcmp(&one.statistics, &other.statistics, sizeof one.statistics), 0);
}

TEST(RecordedMemoryTest, IsReadAsItWasWritten) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const memory_map map = thrown_memory(seed);
    const record::byte_writer block = encode_memory(map, 16384);
    memory_map back;
    std::uint32_t page_bytes = 0;
    ASSERT_TRUE(decode_memory(record::byte_reader(block.bytes()), back, page_bytes));
    EXPECT_EQ(page_bytes, 16384u);
    expect_equal(back, map);
    for (std::size_t length = 0; length < block.size(); length += 1 + length / 16)
      ASSERT_FALSE(decode_memory(record::byte_reader(block.bytes().first(length)), back, page_bytes)) << length;
  }
}

// One of a few moments, by the wish.
class MemoryWishTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [ms, in_use, has_mappings] : {std::tuple(10, 500, true), std::tuple(20, 900, false),
                                                   std::tuple(30, 700, true), std::tuple(40, 100, false)}) {
      memory_map one;
      one.time_ns = test::made_start_ns + static_cast<std::uint64_t>(ms) * 1'000'000;
      one.statistics.chunk_bytes = static_cast<std::uint64_t>(in_use);
      if (has_mappings) one.mappings.push_back({4096, 8192, 0, 4096, 0, 0, "rw-p", ""});
      memories.push_back(one);
    }
    test::write_recording(file.path(), test::thrown_blocks(1, 100), test::made_process(), 50'000'000, {}, memories);
  }
  // Since the start, in ms; 0: none.
  std::uint64_t kept(const std::optional<memory_wish>& wish) {
    auto reader = recording_reader::open(file.path());
    EXPECT_TRUE(reader);
    if (wish) reader->keep_memory(*wish);
    reader->survey();
    EXPECT_FALSE(reader->run().damage);
    const auto& maps = reader->run().processes.at(0).record.maps;
    EXPECT_LE(maps.size(), 1u);
    return maps.empty() ? 0 : (maps.front().time_ns - test::made_start_ns) / 1'000'000;
  }
  test::made_file file;
  std::vector<memory_map> memories;
};

TEST_F(MemoryWishTest, ThatWithMostInUseIsKept) {
  EXPECT_EQ(kept(memory_wish{}), 20u);
  EXPECT_EQ(kept(memory_wish{.wants_mappings = true}), 30u);
  EXPECT_EQ(kept(std::nullopt), 0u);
}

TEST_F(MemoryWishTest, TheNearestToATimeIsKept) {
  EXPECT_EQ(kept(memory_wish{.at_ns = 0}), 10u);
  EXPECT_EQ(kept(memory_wish{.at_ns = 24'000'000}), 20u);
  EXPECT_EQ(kept(memory_wish{.at_ns = 24'000'000, .wants_mappings = true}), 30u);
  EXPECT_EQ(kept(memory_wish{.at_ns = never}), 40u);
}

TEST_F(MemoryWishTest, NoneOutsideOfAWindowIsKept) {
  EXPECT_EQ(kept(memory_wish{.from_ns = 25'000'000}), 30u);
  EXPECT_EQ(kept(memory_wish{.to_ns = 15'000'000}), 10u);
  EXPECT_EQ(kept(memory_wish{.at_ns = never, .from_ns = 11'000'000, .to_ns = 19'000'000}), 0u);
}

}  // namespace
}  // namespace tenure::collect
