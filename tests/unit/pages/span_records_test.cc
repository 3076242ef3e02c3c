#include "core/pages/span_records.h"

#include <gtest/gtest.h>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "core/os/virtual_memory.h"
#include "support/dice.h"

namespace tenure::core {
namespace {

constexpr std::uintptr_t page_mask = 4095;

void release_unused() {
  if (!collect_unused_record_pages()) return;
  check_span_records();
  release_record_pages();
  check_span_records();
  put_back_record_pages();
}

span* make_record(std::uint32_t number) {
  span* record = allocate_span_record();
  if (record == nullptr) return nullptr;
  record->kind = span_kind::small;
  record->first_page = number;
  return record;
}

bool is_resident(std::uintptr_t page) { return os::resident_percent(reinterpret_cast<void*>(page), 4096) != 0; }

TEST(SpanRecords, AreRecycledAsNew) {
  std::set<span*> first_round;
  std::set<std::uintptr_t> pages;
  for (int i = 0; i < 100; ++i) {
    span* record = allocate_span_record();
    ASSERT_NE(record, nullptr);
    EXPECT_TRUE(first_round.insert(record).second);
    pages.insert(reinterpret_cast<std::uintptr_t>(record) & ~page_mask);
    record->kind = span_kind::large;
    record->page_count = 7;
    record->sampled = true;
    record->owner = record;
  }
  for (span* record : first_round) free_span_record(record);
  const std::uint64_t before = span_record_bytes();
  std::set<span*> second_round;
  for (int i = 0; i < 100; ++i) {
    span* record = allocate_span_record();
    EXPECT_TRUE(second_round.insert(record).second);
    EXPECT_EQ(pages.count(reinterpret_cast<std::uintptr_t>(record) & ~page_mask), 1u);
    EXPECT_EQ(record->kind, span_kind::unused);
    EXPECT_EQ(record->page_count, 0u);
    EXPECT_FALSE(record->sampled);
    EXPECT_EQ(record->owner, nullptr);
    EXPECT_EQ(record->next, nullptr);
    record->kind = span_kind::large;
  }
  EXPECT_EQ(span_record_bytes(), before);
  for (span* record : second_round) free_span_record(record);
}

// What stays in use keeps its place and content, whatever comes and goes around it.
TEST(SpanRecords, KeepWhatTheyHoldWhileOthersComeAndGo) {
  test::dice random(7);
  std::map<span*, std::uint32_t> model;
  std::uint32_t number = 0;
  for (int round = 0; round < 200; ++round) {
    const bool growing = random() % 2 == 0;
    for (int i = 0; i < 100; ++i) {
      if (growing || model.empty()) {
        span* record = make_record(++number);
        ASSERT_NE(record, nullptr);
        ASSERT_TRUE(model.emplace(record, number).second);
      } else {
        auto at = model.lower_bound(reinterpret_cast<span*>(random()));
        if (at == model.end()) at = model.begin();
        free_span_record(at->first);
        model.erase(at);
      }
    }
    if (round % 8 == 0) release_unused();
    check_span_records();
    for (const auto& [record, held] : model) {
      ASSERT_EQ(record->kind, span_kind::small);
      ASSERT_EQ(record->first_page, held);
    }
    ASSERT_GE(span_record_bytes(), model.size() * sizeof(span));
  }
  for (const auto& [record, held] : model) free_span_record(record);
  check_span_records();
}

TEST(SpanRecords, PagesWithoutAnyGoBackAndReadAsUnused) {
  std::vector<span*> records;
  std::set<std::uintptr_t> pages;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    records.push_back(make_record(i));
    pages.insert(reinterpret_cast<std::uintptr_t>(records.back()) & ~page_mask);
  }
  ASSERT_GE(pages.size(), 100u);
  for (const std::uintptr_t page : pages) ASSERT_TRUE(is_resident(page));
  ASSERT_GE(span_record_bytes(), pages.size() * 4096);
  span* kept = records[2500];
  for (span* record : records) {
    if (record != kept) free_span_record(record);
  }
  release_unused();
  EXPECT_LE(span_record_bytes(), 8 * 4096u);
  EXPECT_EQ(kept->first_page, 2500u);
  std::size_t resident = 0;
  for (const std::uintptr_t page : pages) resident += is_resident(page) ? 1 : 0;
  EXPECT_LE(resident, 8u);
  EXPECT_GE(resident, 1u);
  for (const span* record : records) {  // an old pointer from the page map
    if (record != kept) {
      ASSERT_EQ(record->kind, span_kind::unused);
    }
  }
  const std::uint64_t before = span_record_bytes();
  for (span*& record : records) {
    if (record != kept) record = make_record(1);
  }
  EXPECT_GT(span_record_bytes(), before);
  for (const std::uintptr_t page : pages) EXPECT_TRUE(is_resident(page));  // the same addresses again
  for (span* record : records) free_span_record(record);
  check_span_records();
}

TEST(SpanRecords, RefusalIsNullAndPassesOver) {
  std::vector<span*> records;
  os::fail_from_nth_call(1);
  while (span* record = make_record(1)) records.push_back(record);
  EXPECT_EQ(allocate_span_record(), nullptr);
  check_span_records();
  os::fail_from_nth_call(0);
  records.push_back(make_record(1));
  EXPECT_NE(records.back(), nullptr);
  for (span* record : records) free_span_record(record);
  check_span_records();
}

// Bits for spans of any number of blocks keep what is written to them, overlap nothing and go back with their pages.
TEST(BlockBits, AreOfTheLengthThatWasAskedForAndGoBack) {
  struct bits {
    std::uint64_t* words;
    std::uint32_t blocks;
    std::uint64_t held;
  };
  const std::uint64_t before = span_record_bytes();
  std::vector<bits> all;
  test::dice random(3);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const std::uint32_t blocks = 1 + random.below(most_span_blocks);
    std::uint64_t* words = allocate_block_bits(blocks);
    ASSERT_NE(words, nullptr);
    for (std::uint32_t word = 0; word < (blocks + 63) / 64; ++word) words[word] = i;
    all.push_back({words, blocks, i});
  }
  for (const bits& one : all) {
    for (std::uint32_t word = 0; word < (one.blocks + 63) / 64; ++word) ASSERT_EQ(one.words[word], one.held);
  }
  check_span_records();
  EXPECT_GT(span_record_bytes(), before + 4000 * 64u);
  for (const bits& one : all) free_block_bits(one.words, one.blocks);
  release_unused();
  check_span_records();
  EXPECT_LE(span_record_bytes(), before + 5 * 4 * 4096u);
}

}  // namespace
}  // namespace tenure::core
