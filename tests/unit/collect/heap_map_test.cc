// A map of a heap as a process wrote it, read back; and maps that make no sense.
#include "instruments/collect/heap_map.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

namespace tenure::collect {
namespace {

class HeapMapFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("heap-map-test." + std::to_string(::getpid()));
    text_.resize(wire::map_spans_offset_bytes);
    statistics_.chunk_bytes = 12345;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void add(const wire::span_record& span, std::initializer_list<std::uint64_t> bits) {
    text_.append(reinterpret_cast<const char*>(&span), sizeof span);
    for (const std::uint64_t word : bits) text_.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  std::optional<heap_map> read(std::size_t left_out = 0) {
    wire::leak_scan_header header{};
    header.magic = wire::leak_scan_magic;
    header.version = wire::leak_scan_version;
    header.heap_map_bytes = text_.size() - wire::map_spans_offset_bytes;
    std::memcpy(text_.data(), &header, sizeof header);
    std::memcpy(text_.data() + wire::map_statistics_offset_bytes, &statistics_, sizeof statistics_);
    std::ofstream(path_, std::ios::binary).write(text_.data(), static_cast<std::streamsize>(text_.size() - left_out));
    return read_heap_map(path_);
  }
  // A span of 100 blocks of 128 bytes, of which the first and the last are in use.
  static wire::span_record span_of_two() {
    wire::span_record span{};
    span.begin = span.first_block = 0x100000;
    span.bytes = 0x4000;
    span.block_bytes = 128;
    span.block_count = 100;
    span.live_blocks = 2;
    span.cached_blocks = 10;
    span.free_blocks = 88;
    span.absent_blocks = 5;
    return span;
  }
  // Of which the one span is refused.
  void expect_refused(const wire::span_record& span, std::initializer_list<std::uint64_t> bits) {
    text_.resize(wire::map_spans_offset_bytes);
    add(span, bits);
    const auto map = read();
    ASSERT_TRUE(map.has_value());
    EXPECT_TRUE(map->is_cut);
    EXPECT_TRUE(map->spans.empty());
    EXPECT_TRUE(map->blocks.empty());
  }

  std::filesystem::path path_;
  wire::heap_statistics statistics_{};
  std::string text_;
};

TEST_F(HeapMapFile, IsReadAsItWasWritten) {
  add(span_of_two(), {1, 1ull << 35});
  wire::span_record pages{};
  pages.begin = 0x104000;
  pages.bytes = 0x8000;
  pages.kind = static_cast<std::uint32_t>(wire::mapped_kind::free_clean);
  add(pages, {});
  const auto map = read();
  ASSERT_TRUE(map.has_value());
  EXPECT_FALSE(map->is_cut);
  EXPECT_EQ(map->statistics.chunk_bytes, 12345u);
  ASSERT_EQ(map->spans.size(), 2u);
  EXPECT_EQ(map->spans[0].live_blocks, 2u);
  EXPECT_EQ(map->spans[0].absent_blocks, 5u);
  EXPECT_EQ(map->spans[1].kind, wire::mapped_kind::free_clean);
  ASSERT_EQ(map->blocks.size(), 2u);
  EXPECT_EQ(map->blocks[0].address, 0x100000u);
  EXPECT_EQ(map->blocks[1].address, 0x100000u + 99 * 128);
  EXPECT_EQ(map->blocks[1].bytes, 128u);
}

TEST_F(HeapMapFile, WhatMakesNoSenseEndsIt) {
  wire::span_record span = span_of_two();
  expect_refused(span, {1, 0});           // one block in use
  expect_refused(span, {7, 1ull << 35});  // four
  expect_refused(span, {1, 1ull << 36});  // behind the last
  expect_refused(span, {1});              // cut off
  span.cached_blocks = 11;                // more than there are
  expect_refused(span, {1, 1ull << 35});
  span = span_of_two();
  span.block_count = 0xffff'ffff;
  expect_refused(span, {1, 1ull << 35});
  span = span_of_two();
  span.first_block = span.begin + span.bytes;
  expect_refused(span, {1, 1ull << 35});
  span = span_of_two();
  span.kind = wire::mapped_kind_count;
  expect_refused(span, {1, 1ull << 35});
  span = span_of_two();
  span.begin = ~0ull - 100;
  expect_refused(span, {1, 1ull << 35});
  span = {};  // free pages with blocks that went back
  span.begin = 0x100000;
  span.bytes = 0x4000;
  span.kind = static_cast<std::uint32_t>(wire::mapped_kind::free_clean);
  span.absent_blocks = 1;
  expect_refused(span, {});
}

TEST_F(HeapMapFile, CutAnywhereItHoldsWhatIsWhole) {
  add(span_of_two(), {1, 1ull << 35});
  for (std::size_t left_out = 1; left_out <= sizeof(wire::span_record) + 16; ++left_out) {
    const auto map = read(left_out);
    ASSERT_TRUE(map.has_value());
    EXPECT_TRUE(map->is_cut);
    EXPECT_TRUE(map->spans.empty());
  }
}

}  // namespace
}  // namespace tenure::collect
