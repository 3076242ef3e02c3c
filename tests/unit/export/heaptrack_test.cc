// A recording that lost its beginning as heaptrack's text: each block with the time at which it was allocated, those
// from before the cut among them, held against the blocks that were thrown.
#include "instruments/export/heaptrack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/made_recording.h"

namespace tenure::exporting {
namespace {

using allocation = std::pair<std::uint64_t, std::uint64_t>;  // when in ms, bytes

struct told_text {
  std::vector<allocation> allocated;
  std::uint64_t freed = 0;
  std::uint64_t end_ms = 0;
  bool is_in_order = true;
};

told_text read(const std::string& text) {
  told_text told;
  std::vector<std::uint64_t> bytes_of_kinds;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 2 || line[1] != ' ') continue;
    std::istringstream words(line.substr(2));
    std::uint64_t value = 0;
    words >> std::hex >> value;
    if (line[0] == 'c') {
      told.is_in_order &= value >= told.end_ms;
      told.end_ms = value;
    } else if (line[0] == 'a') {
      bytes_of_kinds.push_back(value);
    } else if (line[0] == '+') {
      told.allocated.emplace_back(told.end_ms, bytes_of_kinds.at(value));
    } else if (line[0] == '-') {
      ++told.freed;
    }
  }
  std::sort(told.allocated.begin(), told.allocated.end());
  return told;
}

// What the text tells of the recording, and which event its beginning was cut behind.
told_text exported(const std::filesystem::path& path, std::uint64_t* cut_ns) {
  auto reader = collect::recording_reader::open(path);
  EXPECT_TRUE(reader) << reader.error();
  symbols::symbolizer symbolizer(symbols::symbolizer_options{});
  const analyze::selection all;
  analyze::recording_walk walk(*reader, symbolizer, all, {});
  std::string text;
  EXPECT_TRUE(write_heaptrack(walk, 0, [&](std::string_view piece) { return text += piece, true; }));
  const auto& before = walk.process(0).before;
  *cut_ns = before ? before->last_ns - test::made_start_ns : 0;
  return read(text);
}

constexpr std::uint64_t end_ns = 60'000'000'000;

TEST(HeaptrackTest, TellsWhenTheBlocksFromBeforeACutWereAllocated) {
  const auto blocks = test::thrown_blocks(7, 100'000);
  const test::made_file file;
  test::write_recording(file.path(), blocks, test::made_process(), end_ns, {.most_bytes = 300'000});
  std::uint64_t cut_ns = 0;
  const told_text told = exported(file.path(), &cut_ns);
  ASSERT_NE(cut_ns, 0u) << "the recording was not cut";
  std::vector<allocation> expected;
  std::uint64_t freed = 0, from_before = 0;
  for (const test::made_block& one : blocks) {
    if (one.to_ns <= cut_ns) continue;
    expected.emplace_back(one.from_ns / 1'000'000, one.bytes);
    freed += one.to_ns != ~0ull ? 1 : 0;
    from_before += one.from_ns <= cut_ns ? 1 : 0;
  }
  std::sort(expected.begin(), expected.end());
  ASSERT_GT(from_before, 100u);
  EXPECT_TRUE(told.is_in_order);
  EXPECT_EQ(told.allocated, expected);
  EXPECT_EQ(told.freed, freed);
  EXPECT_EQ(told.end_ms, end_ns / 1'000'000);
}

TEST(HeaptrackTest, ReadsNoMoreOnceAPieceWasRefused) {
  const auto blocks = test::thrown_blocks(8, 200'000);
  const test::made_file file;
  test::write_recording(file.path(), blocks, test::made_process(), end_ns);
  auto reader = collect::recording_reader::open(file.path());
  ASSERT_TRUE(reader) << reader.error();
  symbols::symbolizer symbolizer(symbols::symbolizer_options{});
  const analyze::selection all;
  analyze::recording_walk walk(*reader, symbolizer, all, {});
  int pieces = 0;
  EXPECT_FALSE(write_heaptrack(walk, 0, [&](std::string_view) { return ++pieces, false; }));
  EXPECT_EQ(pieces, 1);
  EXPECT_LT(walk.process(0).events, 200'000u);
}

}  // namespace
}  // namespace tenure::exporting
