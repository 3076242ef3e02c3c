// malloc, calloc and free: sizes, zeroes, usable sizes, content.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <vector>

#include "support/engaged.h"
#include "support/memory_probe.h"
#include "support/sizes.h"

namespace {

using tenure::mebibyte;
using tenure::testing::exported;
using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;
using tenure::testing::is_aligned;
using tenure::testing::is_zero;
using tenure::testing::opaque;

TEST(malloc_blocks, are_usable_to_the_last_byte_at_every_size) {
  for (const std::size_t size : tenure::testing::interesting_sizes(4 * mebibyte)) {
    void* block = std::malloc(opaque(size));
    ASSERT_NE(block, nullptr) << size;
    const std::size_t usable = malloc_usable_size(block);
    ASSERT_GE(usable, size);
    ASSERT_TRUE(is_aligned(block, 16)) << size;
    fill_pattern(block, usable, size);
    ASSERT_TRUE(has_pattern(block, usable, size)) << size;
    std::free(block);
  }
}

TEST(malloc_blocks, do_not_overlap_while_all_of_them_live) {
  const std::vector<std::size_t> sizes = tenure::testing::interesting_sizes(256 * 1024);
  std::vector<void*> blocks;
  for (std::size_t round = 0; round < 3; ++round) {
    for (const std::size_t size : sizes) {
      void* block = std::malloc(opaque(size));
      ASSERT_NE(block, nullptr) << size;
      fill_pattern(block, malloc_usable_size(block), blocks.size());
      blocks.push_back(block);
    }
  }
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    ASSERT_TRUE(has_pattern(blocks[index], malloc_usable_size(blocks[index]), index)) << sizes[index % sizes.size()];
  }
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937(1));
  for (void* block : blocks) std::free(block);
}

TEST(malloc_blocks, of_zero_bytes_are_unique) {
  std::set<void*> seen;
  std::vector<void*> blocks;
  for (int count = 0; count < 2000; ++count) {
    blocks.push_back(std::malloc(opaque(std::size_t{0})));
    ASSERT_NE(blocks.back(), nullptr);
    ASSERT_TRUE(seen.insert(blocks.back()).second);
  }
  for (void* block : blocks) std::free(block);
}

// Or 16 KiB, which may be pages that a large block ends in the middle of, and that nobody touches.
TEST(malloc_blocks, waste_no_more_than_a_quarter_above_one_kibibyte) {
  for (std::size_t size = 1024; size <= 8 * mebibyte; size += size / 7) {
    void* block = std::malloc(opaque(size));
    ASSERT_NE(block, nullptr);
    EXPECT_LE(malloc_usable_size(block), size + std::max(size / 4, size < 16384 ? size / 4 : std::size_t{16384}))
        << size;
    std::free(block);
  }
}

TEST(malloc_blocks, of_hundreds_of_mebibytes_can_be_written_at_both_ends) {
  for (const std::size_t size : {64 * mebibyte, 257 * mebibyte + 3, 1024 * mebibyte}) {
    auto* block = static_cast<char*>(std::malloc(opaque(size)));
    ASSERT_NE(block, nullptr) << size;
    ASSERT_GE(malloc_usable_size(block), size);
    block[0] = 1;
    block[size / 2] = 2;
    block[size - 1] = 3;
    EXPECT_EQ(block[0] + block[size / 2] + block[size - 1], 6);
    std::free(block);
  }
}

TEST(calloc_blocks, are_zero_where_a_dirty_block_was_freed) {
  for (const std::size_t size : tenure::testing::interesting_sizes(2 * mebibyte)) {
    for (int round = 0; round < 2; ++round) {
      void* dirty = std::malloc(opaque(size));
      ASSERT_NE(dirty, nullptr);
      std::memset(dirty, 0xa5, malloc_usable_size(dirty));
      std::free(dirty);
      void* clean = std::calloc(opaque(std::size_t{1}), opaque(size));
      ASSERT_NE(clean, nullptr);
      ASSERT_TRUE(is_zero(clean, size)) << size;
      std::memset(clean, 0x5a, size);
      std::free(clean);
    }
  }
}

TEST(calloc_blocks, are_zero_when_they_are_carved_from_joined_dirty_blocks) {
  std::vector<void*> dirty;
  for (int count = 0; count < 600; ++count) {
    dirty.push_back(std::malloc(opaque(std::size_t{40000})));
    std::memset(dirty.back(), 0xff, 40000);
  }
  for (void* block : dirty) std::free(block);
  std::vector<void*> clean;
  for (int count = 0; count < 12; ++count) {
    clean.push_back(std::calloc(opaque(std::size_t{1024}), opaque(std::size_t{1500})));
    ASSERT_TRUE(is_zero(clean.back(), 1024 * 1500));
  }
  for (void* block : clean) std::free(block);
}

TEST(calloc_blocks, of_hundreds_of_mebibytes_are_zero) {
  const std::size_t size = 300 * mebibyte;
  for (int round = 0; round < 2; ++round) {
    auto* block = static_cast<unsigned char*>(std::calloc(opaque(size / 4), opaque(std::size_t{4})));
    ASSERT_NE(block, nullptr);
    for (std::size_t place = 0; place < size; place += 1 * mebibyte - 3) ASSERT_EQ(block[place], 0) << place;
    for (std::size_t place = 0; place < size; place += 1 * mebibyte - 3) block[place] = 0xff;
    std::free(block);
  }
}

TEST(calloc_blocks, of_no_elements_or_no_size_are_unique_blocks) {
  void* first = std::calloc(opaque(std::size_t{0}), opaque(std::size_t{16}));
  void* second = std::calloc(opaque(std::size_t{16}), opaque(std::size_t{0}));
  void* third = std::calloc(opaque(std::size_t{0}), opaque(SIZE_MAX));
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  EXPECT_NE(third, nullptr);
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
  std::free(first);
  std::free(second);
  std::free(third);
}

TEST(free_of_null, does_nothing_in_every_form) {
  std::free(nullptr);
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
  auto* free_sized = exported<void(void*, std::size_t)>("free_sized");
  auto* free_aligned_sized = exported<void(void*, std::size_t, std::size_t)>("free_aligned_sized");
  ASSERT_NE(free_sized, nullptr);
  ASSERT_NE(free_aligned_sized, nullptr);
  free_sized(nullptr, 0);
  free_sized(nullptr, 100);
  free_aligned_sized(nullptr, 64, 100);
}

TEST(free_sized_of_c23, takes_back_what_malloc_calloc_and_realloc_gave) {
  auto* free_sized = exported<void(void*, std::size_t)>("free_sized");
  ASSERT_NE(free_sized, nullptr);
  for (const std::size_t size : tenure::testing::interesting_sizes(1 * mebibyte)) {
    free_sized(std::malloc(opaque(size)), size);
    if (size != 0) free_sized(std::calloc(opaque(size), 1), size);
    if (size != 0) free_sized(std::realloc(std::malloc(opaque(std::size_t{24})), opaque(size)), size);
  }
}

TEST(free_aligned_sized_of_c23, takes_back_what_aligned_alloc_gave) {
  auto* free_aligned_sized = exported<void(void*, std::size_t, std::size_t)>("free_aligned_sized");
  ASSERT_NE(free_aligned_sized, nullptr);
  for (std::size_t alignment = 1; alignment <= 1 * mebibyte; alignment *= 2) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, alignment - 1, alignment, 3 * alignment + 8}) {
      void* block = std::aligned_alloc(opaque(alignment), opaque(size));
      ASSERT_NE(block, nullptr) << alignment << " " << size;
      std::memset(block, 1, size);
      free_aligned_sized(block, alignment, size);
    }
  }
}

TEST(memory, goes_round_many_times_without_growth) {
  const auto wave = [] {
    std::vector<void*> blocks;
    for (std::size_t count = 0; count < 20000; ++count) {
      blocks.push_back(std::malloc(opaque(16 + count % 3000)));
      *static_cast<volatile char*>(blocks.back()) = 1;
    }
    std::shuffle(blocks.begin(), blocks.end(), std::mt19937(7));
    for (void* block : blocks) std::free(block);
  };
  for (int round = 0; round < 3; ++round) wave();
  const std::size_t before = tenure::testing::resident_bytes();
  for (int round = 0; round < 20; ++round) wave();
  EXPECT_LE(tenure::testing::resident_bytes(), before + before / 4 + 8 * mebibyte);
}

}  // namespace
