// realloc and reallocarray: content through every boundary, null, zero, failure.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <cstdlib>

#include "support/memory_probe.h"
#include "support/sizes.h"

namespace {

using tenure::mebibyte;
using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;
using tenure::testing::interesting_sizes;
using tenure::testing::is_aligned;
using tenure::testing::opaque;

TEST(realloc_content, survives_growth_through_every_boundary) {
  void* block = nullptr;
  std::size_t before = 0;
  for (const std::size_t size : interesting_sizes(8 * mebibyte)) {
    if (size == 0) continue;
    block = std::realloc(block, opaque(size));
    ASSERT_NE(block, nullptr) << size;
    ASSERT_TRUE(is_aligned(block, 16));
    ASSERT_GE(malloc_usable_size(block), size);
    ASSERT_TRUE(has_pattern(block, before, 5)) << before << " to " << size;
    fill_pattern(block, size, 5);
    before = size;
  }
  std::free(block);
}

TEST(realloc_content, survives_shrinking_through_every_boundary) {
  const std::vector<std::size_t> sizes = interesting_sizes(8 * mebibyte);
  void* block = std::malloc(sizes.back());
  ASSERT_NE(block, nullptr);
  fill_pattern(block, sizes.back(), 9);
  for (auto size = sizes.rbegin(); size != sizes.rend() && *size != 0; ++size) {
    block = std::realloc(block, opaque(*size));
    ASSERT_NE(block, nullptr) << *size;
    ASSERT_GE(malloc_usable_size(block), *size);
    // The whole at coarse steps, and both ends always: the whole at each of hundreds of steps would only cost time.
    const std::size_t checked = *size < 65536 || *size % 5 == 0 ? *size : std::size_t{65536};
    ASSERT_TRUE(has_pattern(block, checked, 9)) << *size;
  }
  std::free(block);
}

TEST(realloc_content, survives_jumps_from_each_size_to_each_other) {
  const std::size_t sizes[] = {1,
                               8,
                               16,
                               17,
                               100,
                               128,
                               1000,
                               1024,
                               4000,
                               4096,
                               8192,
                               8193,
                               16384,
                               30000,
                               32768,
                               40000,
                               65536,
                               131072,
                               200000,
                               262144,
                               262145,
                               500000,
                               mebibyte,
                               mebibyte + 1,
                               3 * mebibyte,
                               5 * mebibyte - 7};
  for (const std::size_t from : sizes) {
    for (const std::size_t to : sizes) {
      void* block = std::malloc(opaque(from));
      ASSERT_NE(block, nullptr);
      fill_pattern(block, from, from);
      block = std::realloc(block, opaque(to));
      ASSERT_NE(block, nullptr) << from << " to " << to;
      ASSERT_TRUE(has_pattern(block, from < to ? from : to, from)) << from << " to " << to;
      static_cast<volatile char*>(block)[malloc_usable_size(block) - 1] = 1;
      std::free(block);
    }
  }
}

TEST(realloc_content, survives_growth_of_hundreds_of_mebibytes) {
  std::size_t size = mebibyte;
  auto* block = static_cast<unsigned char*>(std::malloc(opaque(size)));
  for (std::size_t place = 0; place < size; place += 4096) block[place] = static_cast<unsigned char>(place / 4096 * 7);
  while (size < 512 * mebibyte) {
    const std::size_t before = size;
    size += size / 2;
    block = static_cast<unsigned char*>(std::realloc(block, opaque(size)));
    ASSERT_NE(block, nullptr) << size;
    for (std::size_t place = 0; place < before; place += 4096) {
      ASSERT_EQ(block[place], static_cast<unsigned char>(place / 4096 * 7)) << place << " of " << before;
    }
    for (std::size_t place = (before + 4095) / 4096 * 4096; place < size; place += 4096) {
      block[place] = static_cast<unsigned char>(place / 4096 * 7);
    }
  }
  std::free(block);
}

TEST(realloc_that_shrinks, gives_most_of_the_memory_back) {
  void* block = std::malloc(opaque(64 * mebibyte));
  ASSERT_NE(block, nullptr);
  block = std::realloc(block, opaque(std::size_t{1000}));
  ASSERT_NE(block, nullptr);
  EXPECT_LT(malloc_usable_size(block), mebibyte);
  std::free(block);
}

TEST(realloc_of_null, is_malloc) {
  for (const std::size_t size : {0ul, 1ul, 100ul, 100000ul}) {
    void* block = std::realloc(opaque(static_cast<void*>(nullptr)), opaque(size));
    ASSERT_NE(block, nullptr);
    ASSERT_GE(malloc_usable_size(block), size);
    std::free(block);
  }
}

TEST(realloc_to_zero, frees_and_returns_null_as_the_c_library_documents) {
  for (const std::size_t size : {1ul, 100ul, 100000ul, 10000000ul}) {
    for (int count = 0; count < 200; ++count) {
      void* block = std::malloc(opaque(size));
      ASSERT_NE(block, nullptr);
      errno = 77;
      EXPECT_EQ(std::realloc(block, opaque(std::size_t{0})), nullptr);
      EXPECT_EQ(errno, 77);
    }
  }
}

TEST(realloc_that_fails, leaves_the_block_alone) {
  for (const std::size_t size : {24ul, 5000ul, 300000ul, 5000000ul}) {
    void* block = std::malloc(opaque(size));
    ASSERT_NE(block, nullptr);
    fill_pattern(block, size, 3);
    errno = 0;
    EXPECT_EQ(std::realloc(block, opaque(static_cast<std::size_t>(PTRDIFF_MAX) - 64)), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_TRUE(has_pattern(block, size, 3));
    std::free(block);
  }
}

TEST(reallocarray_blocks, are_as_large_as_the_product) {
  void* block = reallocarray(nullptr, opaque(std::size_t{10}), opaque(std::size_t{33}));
  ASSERT_NE(block, nullptr);
  ASSERT_GE(malloc_usable_size(block), 330u);
  fill_pattern(block, 330, 1);
  block = reallocarray(block, opaque(std::size_t{1000}), opaque(std::size_t{777}));
  ASSERT_NE(block, nullptr);
  ASSERT_GE(malloc_usable_size(block), 777000u);
  EXPECT_TRUE(has_pattern(block, 330, 1));
  EXPECT_EQ(reallocarray(block, opaque(std::size_t{0}), opaque(std::size_t{4})), nullptr);
}

}  // namespace
