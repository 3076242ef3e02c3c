// The far end of the number line: overflow, PTRDIFF_MAX, SIZE_MAX.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;
using tenure::testing::opaque;

// No heap can have these: an object must not be larger than PTRDIFF_MAX, and user space has less.
std::vector<std::size_t> impossible_sizes() {
  std::vector<std::size_t> sizes = {
      PTRDIFF_MAX, static_cast<std::size_t>(PTRDIFF_MAX) - 1, static_cast<std::size_t>(PTRDIFF_MAX) - 4096,
      static_cast<std::size_t>(PTRDIFF_MAX) + 1, static_cast<std::size_t>(PTRDIFF_MAX) + 4097};
  for (std::size_t below = 0; below < 64; ++below) sizes.push_back(SIZE_MAX - below);
  for (std::size_t below = 64; below <= std::size_t{1} << 33; below *= 2) {
    sizes.push_back(SIZE_MAX - below);
    sizes.push_back(SIZE_MAX - below + 1);
  }
  return sizes;
}

void expect_enomem(void* block, const char* name, std::size_t size) {
  EXPECT_EQ(block, nullptr) << name << " " << size;
  EXPECT_EQ(errno, ENOMEM) << name << " " << size;
  errno = 0;
}

TEST(impossible_sizes, fail_with_enomem_in_every_function) {
  void* kept = std::malloc(opaque(std::size_t{500}));
  fill_pattern(kept, 500, 1);
  for (const std::size_t size : impossible_sizes()) {
    errno = 0;
    expect_enomem(std::malloc(opaque(size)), "malloc", size);
    expect_enomem(std::calloc(opaque(size), opaque(std::size_t{1})), "calloc", size);
    expect_enomem(std::calloc(opaque(std::size_t{1}), opaque(size)), "calloc", size);
    expect_enomem(std::realloc(opaque(static_cast<void*>(nullptr)), opaque(size)), "realloc", size);
    expect_enomem(std::realloc(kept, opaque(size)), "realloc", size);
    expect_enomem(valloc(opaque(size)), "valloc", size);
    expect_enomem(pvalloc(opaque(size)), "pvalloc", size);
    for (std::size_t alignment = 8; alignment <= std::size_t{1} << 30; alignment *= 8) {
      expect_enomem(std::aligned_alloc(opaque(alignment), opaque(size)), "aligned_alloc", size);
      expect_enomem(memalign(opaque(alignment), opaque(size)), "memalign", size);
      void* block = kept;
      EXPECT_EQ(posix_memalign(&block, opaque(alignment), opaque(size)), ENOMEM) << size;
      EXPECT_EQ(block, kept);
    }
  }
  EXPECT_TRUE(has_pattern(kept, 500, 1));
  std::free(kept);
}

TEST(impossible_alignments, fail_without_a_block) {
  for (const std::size_t alignment : {std::size_t{1} << 62, std::size_t{1} << 63}) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{1} << 20, static_cast<std::size_t>(PTRDIFF_MAX)}) {
      errno = 0;
      EXPECT_EQ(std::aligned_alloc(opaque(alignment), opaque(size)), nullptr);
      EXPECT_TRUE(errno == ENOMEM || errno == EINVAL);
      void* block = nullptr;
      EXPECT_NE(posix_memalign(&block, opaque(alignment), opaque(size)), 0);
    }
  }
}

TEST(products, that_overflow_fail_with_enomem) {
  struct product {
    std::size_t count, each;
  };
  const std::size_t half = std::size_t{1} << 32;
  const product products[] = {
      {half, half},     {SIZE_MAX, 2},           {2, SIZE_MAX},         {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 2, 3},
      {half + 1, half}, {SIZE_MAX / 16 + 1, 16}, {SIZE_MAX / 7 + 1, 7}, {half * 4, half / 4}, {3, SIZE_MAX / 3 + 1}};
  void* kept = std::malloc(opaque(std::size_t{64}));
  fill_pattern(kept, 64, 2);
  for (const product& each : products) {
    errno = 0;
    expect_enomem(std::calloc(opaque(each.count), opaque(each.each)), "calloc", each.count);
    expect_enomem(reallocarray(nullptr, opaque(each.count), opaque(each.each)), "reallocarray", each.count);
    expect_enomem(reallocarray(kept, opaque(each.count), opaque(each.each)), "reallocarray", each.count);
  }
  EXPECT_TRUE(has_pattern(kept, 64, 2));
  std::free(kept);
}

TEST(impossible_sizes, make_every_operator_new_throw_bad_alloc) {
  for (const std::size_t size : impossible_sizes()) {
    EXPECT_THROW(static_cast<void>(::operator new(opaque(size))), std::bad_alloc) << size;
    EXPECT_THROW(static_cast<void>(::operator new[](opaque(size))), std::bad_alloc) << size;
    EXPECT_THROW(static_cast<void>(::operator new (opaque(size), std::align_val_t{4096})), std::bad_alloc) << size;
    EXPECT_THROW(static_cast<void>(::operator new[](opaque(size), std::align_val_t{64})), std::bad_alloc) << size;
    EXPECT_EQ(::operator new(opaque(size), std::nothrow), nullptr) << size;
    EXPECT_EQ(::operator new[](opaque(size), std::nothrow), nullptr) << size;
    EXPECT_EQ(::operator new (opaque(size), std::align_val_t{64}, std::nothrow), nullptr) << size;
    EXPECT_EQ(::operator new[](opaque(size), std::align_val_t{4096}, std::nothrow), nullptr) << size;
  }
}

TEST(the_heap, works_after_a_thousand_failures) {
  for (int count = 0; count < 1000; ++count) {
    EXPECT_EQ(std::malloc(opaque(static_cast<std::size_t>(PTRDIFF_MAX) - 4096 * count)), nullptr);
    void* block = std::malloc(opaque(std::size_t{100} + count));
    ASSERT_NE(block, nullptr);
    std::memset(block, 1, 100);
    std::free(block);
  }
}

}  // namespace
