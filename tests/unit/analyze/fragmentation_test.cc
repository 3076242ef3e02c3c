// Who pins what of a heap that was made by hand, span by span.
#include "instruments/analyze/fragmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "instruments/analyze/heap_picture.h"
#include "support/made_recording.h"

namespace tenure::analyze {
namespace {

using collect::mapped_span;
using wire::mapped_kind;

constexpr std::uint64_t page = 16 << 10;

class MadeHeap : public ::testing::Test {
 protected:
  MadeHeap() { map_.header.heap_map_bytes = 1; }

  // A span of one page behind those before, with blocks in use of these stacks; what is not said to be elsewhere is
  // free in the span.
  mapped_span& add(std::uint64_t block_bytes, const std::vector<std::uint32_t>& stacks, std::uint32_t cached = 0) {
    mapped_span& one = add_pages(mapped_kind::small, page);
    one.first_block = one.begin;
    one.block_bytes = block_bytes;
    one.block_count = static_cast<std::uint32_t>(page / block_bytes);
    one.live_blocks = static_cast<std::uint32_t>(stacks.size());
    one.cached_blocks = cached;
    one.free_blocks = one.block_count - one.live_blocks - cached;
    one.first_live = static_cast<std::uint32_t>(map_.blocks.size());
    for (std::size_t i = 0; i < stacks.size(); ++i)
      add_block(one.begin + i * block_bytes, block_bytes, stacks[i], block_bytes - 8);
    return one;
  }
  mapped_span& add_pages(mapped_kind kind, std::uint64_t bytes) {
    mapped_span one;
    one.begin = map_.spans.empty() ? 0x100000 : map_.spans.back().begin + map_.spans.back().bytes;
    one.bytes = bytes;
    one.kind = kind;
    map_.spans.push_back(one);
    return map_.spans.back();
  }
  void add_large(std::uint64_t bytes, std::uint64_t requested_bytes, std::uint32_t stack) {
    mapped_span& one = add_pages(mapped_kind::large, bytes);
    one.first_block = one.begin;
    one.block_bytes = bytes;
    one.block_count = one.live_blocks = 1;
    one.requested_bytes = requested_bytes;
    one.first_live = static_cast<std::uint32_t>(map_.blocks.size());
    add_block(one.begin, bytes, stack, requested_bytes);
  }
  fragmented_process find(const selection& selected = {}) {
    collect::recording run;
    run.processes.push_back(test::made_process());
    run.processes[0].heap_map = map_;
    symbols::symbolizer symbolizer;
    return std::move(find_fragments(std::move(run), symbolizer, selected, true).processes.at(0));
  }
  static const fragment_site* site_of(const fragmented_process& process, std::uint32_t stack) {
    const auto found = std::find_if(process.sites.begin(), process.sites.end(),
                                    [&](const fragment_site& one) { return one.stack == stack; });
    return found == process.sites.end() ? nullptr : &*found;
  }

  collect::heap_map map_;

 private:
  void add_block(std::uint64_t address, std::uint64_t bytes, std::uint32_t stack, std::uint64_t requested_bytes) {
    collect::scanned_block& block = map_.blocks.emplace_back();
    block.address = address;
    block.bytes = bytes;
    block.stack = stack;
    block.thread = 0;
    block.requested_bytes = requested_bytes;
  }
};

TEST_F(MadeHeap, PinsAreDividedAmongTheBlocksOfASparseSpan) {
  mapped_span& first = add(1024, {0, 1});  // 14 free, 11 of them with memory that was used
  first.absent_blocks = 2;
  first.unused_blocks = 1;
  add(1024, {0, 0, 1});                    // 13 free: 13312 bytes, which three do not divide
  add(1024, {2, 2, 2, 2, 2, 2, 2, 2, 2});  // 7 free: not sparse
  add(64, {3}, 130);                       // most of it cached: not sparse either
  add(1024, {collect::no_index});          // 15 free
  const fragmented_process process = find();
  EXPECT_EQ(process.sparse_spans, 3u);
  EXPECT_EQ(process.pinned_bytes, 11 * 1024 + 13 * 1024 + 15 * 1024u);
  const fragment_site* const zero = site_of(process, 0);
  const fragment_site* const one = site_of(process, 1);
  const fragment_site* const unknown = site_of(process, collect::no_index);
  ASSERT_TRUE(zero != nullptr && one != nullptr && unknown != nullptr);
  EXPECT_EQ(zero->pinned_bytes, 11 * 512 + 4438 + 4437u);
  EXPECT_EQ(one->pinned_bytes, 11 * 512 + 4437u);
  EXPECT_EQ(unknown->pinned_bytes, 15 * 1024u);
  EXPECT_EQ((std::pair{zero->spans, zero->lone_spans}), (std::pair<std::uint64_t, std::uint64_t>{2, 0}));
  EXPECT_EQ(unknown->lone_spans, 1u);
  EXPECT_EQ(zero->survivors, (exact_amount{3, 3 * 1016}));
  EXPECT_EQ(site_of(process, 2)->pinned_bytes, 0u);
  EXPECT_EQ(&process.sites.front(), unknown);
  EXPECT_EQ(process.known, (exact_amount{15, 14 * 1016 + 56}));
}

TEST_F(MadeHeap, EveryByteIsToldOnce) {
  add(48, {0}, 40);  // 341 fit: 16 bytes are left
  add_large(3 * page, 2 * page + 1, 1);
  add_pages(mapped_kind::free_dirty, 2 * page);
  add_pages(mapped_kind::free_clean, 5 * page);
  const fragmented_process process = find();
  const heap_sums& sums = process.sums;
  EXPECT_EQ(sums.live_bytes, 48u);
  EXPECT_EQ(sums.cached_bytes, 40 * 48u);
  EXPECT_EQ(sums.free_bytes, 300 * 48u);
  EXPECT_EQ(sums.tail_bytes, 16u);
  EXPECT_EQ(sums.large_bytes, 3 * page);
  EXPECT_EQ(sums.dirty_bytes, 2 * page);
  EXPECT_EQ(sums.clean_bytes, 5 * page);
  EXPECT_EQ(sums.total(), 11 * page);
  EXPECT_EQ(process.large_slack_bytes, page - 1);
  EXPECT_EQ(site_of(process, 1)->rounding_bytes(), page - 1);
  EXPECT_FALSE(process.agrees);  // with counters that say nothing
}

TEST_F(MadeHeap, WhatIsNotChosenStillKeepsAChosenBlockFromBeingAlone) {
  add(1024, {0, 1});
  add(1024, {0});
  const selection selected{.function = "app+0x10"};  // stack 0
  const fragmented_process process = find(selected);
  ASSERT_EQ(process.sites.size(), 1u);
  EXPECT_EQ(process.sites[0].stack, 0u);
  EXPECT_EQ(process.sites[0].spans, 2u);
  EXPECT_EQ(process.sites[0].lone_spans, 1u);
  EXPECT_EQ(process.pinned_bytes, 29 * 1024u);
}

TEST_F(MadeHeap, IsDrawnPieceByPiece) {
  add(1024, std::vector<std::uint32_t>(13, 0));
  add(1024, std::vector<std::uint32_t>(5, 0));
  add(1024, {0});
  add(1024, {}, 3);
  add_large(2 * page, page, 0);
  add_pages(mapped_kind::free_dirty, page);
  add_pages(mapped_kind::free_clean, page);
  std::uint64_t piece_bytes = 0;
  EXPECT_EQ(heap_picture(map_.spans, 64, &piece_bytes), "#+.cLLd_");
  EXPECT_EQ(piece_bytes, page);
  EXPECT_LE(heap_picture(map_.spans, 4, &piece_bytes).size(), 4u);
  EXPECT_EQ(heap_picture({}, 4, &piece_bytes), "");
}

}  // namespace
}  // namespace tenure::analyze
