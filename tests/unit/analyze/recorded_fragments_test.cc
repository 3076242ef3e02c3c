// What is told of a recorded heap, held against a toy heap that knows where each block lies: spans of one size class,
// blocks put into the first gap, spans given up when their last block goes.
#include "instruments/analyze/recorded_fragments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "instruments/collect/recorded_memory.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

constexpr std::uint64_t span_bytes = 8192;
constexpr std::uint64_t page_bytes = collect::heap_page_bytes;
constexpr std::uint64_t largest_class_bytes = 4096;

std::uint64_t class_bytes_of(std::uint64_t bytes) {
  std::uint64_t size = 16;
  while (size < bytes) size *= 2;
  return size;
}

class toy_heap {
 public:
  void allocate(std::size_t block, const test::made_block& of) {
    if (of.bytes > largest_class_bytes) {
      large_.insert(block);
      large_bytes_ += (of.bytes + page_bytes - 1) / page_bytes * page_bytes;
      return;
    }
    const std::uint64_t size = class_bytes_of(of.bytes);
    std::vector<std::set<std::size_t>>& spans = spans_[size];
    auto room = std::find_if(spans.begin(), spans.end(), [&](auto& one) { return one.size() < span_bytes / size; });
    if (room == spans.end()) room = spans.insert(spans.end(), std::set<std::size_t>());
    room->insert(block);
  }
  void release(std::size_t block, const test::made_block& of) {
    if (large_.erase(block) != 0) {
      large_bytes_ -= (of.bytes + page_bytes - 1) / page_bytes * page_bytes;
      return;
    }
    std::vector<std::set<std::size_t>>& spans = spans_[class_bytes_of(of.bytes)];
    for (auto& one : spans) one.erase(block);
    std::erase_if(spans, [](auto& one) { return one.empty(); });
  }

  collect::memory_map memory(std::uint64_t time_ns) const {
    collect::memory_map map;
    map.time_ns = test::made_start_ns + time_ns;
    wire::heap_statistics& told = map.statistics;
    told.large_span_bytes = large_bytes_;
    std::size_t place = 0;
    for (std::uint64_t size = 16; size <= largest_class_bytes; size *= 2) {
      wire::size_class_statistics& one = told.classes[place++];
      one.block_bytes = size;
      const auto found = spans_.find(size);
      if (found == spans_.end()) continue;
      for (const auto& blocks : found->second) {
        ++one.span_count;
        one.span_bytes += span_bytes;
        one.handed_out_blocks += blocks.size();
        one.central_free_blocks += span_bytes / size - blocks.size();
      }
      told.small_span_bytes += one.span_bytes;
    }
    told.chunk_bytes = told.small_span_bytes + told.large_span_bytes;
    return map;
  }

  // What the blocks of a stack keep from going back, each span counted once.
  std::uint64_t pinned_by(std::uint32_t stack, const std::vector<test::made_block>& blocks) const {
    std::uint64_t bytes = 0;
    for (const auto& [size, spans] : spans_)
      for (const auto& one : spans)
        if (std::any_of(one.begin(), one.end(), [&](std::size_t block) { return blocks[block].stack == stack; }))
          bytes += span_bytes - one.size() * size;
    return bytes;
  }

 private:
  std::map<std::uint64_t, std::vector<std::set<std::size_t>>> spans_;
  std::set<std::size_t> large_;
  std::uint64_t large_bytes_ = 0;
};

// The heap after everything that happened until then.
toy_heap heap_at(const std::vector<test::made_block>& blocks, std::uint64_t time_ns) {
  std::map<std::uint64_t, std::pair<std::size_t, bool>> changes;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    changes[blocks[i].from_ns] = {i, true};
    if (blocks[i].to_ns != ~0ull) changes[blocks[i].to_ns] = {i, false};
  }
  toy_heap heap;
  for (const auto& [time, change] : changes) {
    if (time > time_ns) break;
    if (change.second)
      heap.allocate(change.first, blocks[change.first]);
    else
      heap.release(change.first, blocks[change.first]);
  }
  return heap;
}

class RecordedFragmentsTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    blocks = test::thrown_blocks(GetParam(), 3000);
    for (const test::made_block& one : blocks)
      last_ns = std::max({last_ns, one.from_ns, one.to_ns == ~0ull ? 0 : one.to_ns});
    // Between two events each.
    for (const std::uint64_t share : {1, 2, 3, 4}) moments.push_back(last_ns / 4 * share / 1000 * 1000 + 500);
    std::vector<collect::memory_map> memories;
    for (const std::uint64_t one : moments) memories.push_back(heap_at(blocks, one).memory(one));
    test::write_recording(file.path(), blocks, process, last_ns + 1'000'000, {}, memories);
  }
  recorded_fragments find(const recorded_fragmentation_options& options) {
    auto reader = collect::recording_reader::open(file.path());
    EXPECT_TRUE(reader);
    symbols::symbolizer symbolizer(symbols::symbolizer_options{});
    auto report = find_recorded_fragments(*reader, symbolizer, options);
    EXPECT_TRUE(report.is_complete);
    EXPECT_FALSE(report.damage);
    EXPECT_EQ(report.processes.size(), 1u);
    return std::move(report.processes.at(0));
  }

  std::vector<test::made_block> blocks;
  collect::process_record process = test::made_process();
  std::uint64_t last_ns = 0;
  std::vector<std::uint64_t> moments;
  test::made_file file;
};

TEST_P(RecordedFragmentsTest, PartsAreThoseOfTheHeapThatKnows) {
  for (const std::uint64_t moment : moments) {
    const recorded_fragments found = find({.at_ns = moment});
    ASSERT_TRUE(found.is_known);
    EXPECT_EQ(found.moment_ns, test::made_start_ns + moment);
    EXPECT_EQ(found.total_bytes(), found.chunk_bytes);
    EXPECT_EQ(found.sums.cached_bytes, 0u);
    std::uint64_t live_blocks = 0, live_bytes = 0;
    std::map<std::uint64_t, exact_amount> by_class;
    for (const test::made_block& one : blocks) {
      if (!one.lives_at(moment)) continue;
      ++live_blocks;
      live_bytes += one.bytes;
      if (one.bytes <= largest_class_bytes) by_class[class_bytes_of(one.bytes)] += {1, one.bytes};
    }
    EXPECT_EQ(found.alive.blocks, live_blocks);
    EXPECT_EQ(found.alive.bytes, live_bytes);
    for (const recorded_class& one : found.classes) {
      EXPECT_EQ(one.live, by_class[one.block_bytes]) << one.block_bytes;
      EXPECT_EQ(one.live.blocks, one.handed_out_blocks);
    }
  }
}

TEST_P(RecordedFragmentsTest, NoSitePinsMoreThanIsSaid) {
  std::uint64_t pinned_somewhere = 0;
  for (const std::uint64_t moment : moments) {
    const toy_heap heap = heap_at(blocks, moment);
    const recorded_fragments found = find({.at_ns = moment});
    std::uint64_t even_bytes = 0;
    std::set<std::uint32_t> told;
    for (const recorded_fragment_site& one : found.sites) {
      const std::uint64_t pinned = heap.pinned_by(one.stack, blocks);
      EXPECT_LE(pinned, one.most_pinned_bytes) << one.stack;
      EXPECT_LE(one.most_pinned_bytes, found.sums.free_bytes);
      EXPECT_LE(one.even_pinned_bytes, one.most_pinned_bytes);
      pinned_somewhere += pinned;
      even_bytes += one.even_pinned_bytes;
      told.insert(one.stack);
    }
    EXPECT_LE(even_bytes, found.sums.free_bytes);
    for (std::uint32_t stack = 0; stack < 4; ++stack)
      EXPECT_TRUE(heap.pinned_by(stack, blocks) == 0 || told.contains(stack)) << stack;
  }
  EXPECT_NE(pinned_somewhere, 0u);
}

TEST_P(RecordedFragmentsTest, TheEndAndThePeakAreMomentsToo) {
  EXPECT_EQ(find({}).moment_ns, test::made_start_ns + moments.back());
  std::uint64_t most = 0, at = 0;
  for (const std::uint64_t moment : moments) {
    const auto told = heap_at(blocks, moment).memory(moment).statistics;
    std::uint64_t in_use = told.chunk_bytes;
    for (const auto& one : told.classes) in_use -= one.central_free_blocks * one.block_bytes;
    if (in_use > most) most = in_use, at = moment;
  }
  EXPECT_EQ(find({.at_peak = true}).moment_ns, test::made_start_ns + at);
}

TEST_P(RecordedFragmentsTest, OnlyChosenBlocksAreTold) {
  const std::uint64_t moment = moments[1];
  selection selected;
  selected.function = "libplug.so+0x30";
  selected.least_bytes = 64;
  const recorded_fragments found = find({.selected = selected, .at_ns = moment}), all = find({.at_ns = moment});
  exact_amount expected, told;
  for (const test::made_block& one : blocks)
    if (one.lives_at(moment) && one.stack == 2 && one.bytes >= 64) expected += {1, one.bytes};
  for (const recorded_fragment_site& one : found.sites) told += one.live;
  EXPECT_EQ(told, expected);
  EXPECT_EQ(found.sums.total(), all.sums.total());
  EXPECT_EQ(found.alive.blocks, all.alive.blocks);
}

// realloc may have left it in the next class, and aligned_alloc put it anywhere.
TEST(RecordedFragmentTest, BlocksThatMayBeOfALargerClassCountThere) {
  std::vector<test::made_block> blocks(2);
  blocks[0] = {.bytes = 40, .stack = 0, .from_ns = 128'000, .entry = 3};
  blocks[1] = {.bytes = 40, .stack = 2, .from_ns = 256'000, .entry = 4};
  toy_heap heap;
  collect::memory_map memory = heap.memory(1'000'000);
  wire::size_class_statistics& of_128 = memory.statistics.classes[3];
  wire::size_class_statistics& of_2048 = memory.statistics.classes[7];
  ASSERT_EQ(of_128.block_bytes, 128u);
  ASSERT_EQ(of_2048.block_bytes, 2048u);
  for (wire::size_class_statistics* one : {&of_128, &of_2048}) {
    one->span_count = 1;
    one->span_bytes = span_bytes;
    one->handed_out_blocks = 1;
    one->central_free_blocks = span_bytes / one->block_bytes - 1;
  }
  const test::made_file file;
  test::write_recording(file.path(), blocks, test::made_process(), 2'000'000, {}, {memory});
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer(symbols::symbolizer_options{});
  const auto report = find_recorded_fragments(*reader, symbolizer, {});
  std::map<std::uint32_t, std::uint64_t> most;
  for (const recorded_fragment_site& one : report.processes.at(0).sites) most[one.stack] = one.most_pinned_bytes;
  EXPECT_EQ(most[0], span_bytes - 128);
  EXPECT_EQ(most[2], span_bytes - 128 + span_bytes - 2048);
}

TEST(RecordedFragmentTest, WithoutCountersNothingIsTold) {
  const test::made_file file;
  test::write_recording(file.path(), test::thrown_blocks(3, 50), test::made_process(), 50'000'000);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader);
  symbols::symbolizer symbolizer(symbols::symbolizer_options{});
  const auto report = find_recorded_fragments(*reader, symbolizer, {});
  EXPECT_FALSE(report.processes.at(0).is_known);
  EXPECT_TRUE(report.processes.at(0).sites.empty());
  EXPECT_TRUE(report.is_complete);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RecordedFragmentsTest, ::testing::Range(0u, 6u));

}  // namespace
}  // namespace tenure::analyze
