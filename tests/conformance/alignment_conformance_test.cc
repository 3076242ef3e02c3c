// Aligned allocation: posix_memalign, aligned_alloc, memalign, valloc, pvalloc.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "support/memory_probe.h"

namespace {

using tenure::testing::fill_pattern;
using tenure::testing::has_pattern;
using tenure::testing::is_aligned;
using tenure::testing::opaque;

constexpr std::size_t gibibyte = std::size_t{1} << 30;

std::vector<std::size_t> sizes_for(std::size_t alignment) {
  return {0, 1, 8, 15, 16, 17, 24, 100, 1000, 4096, 5000, 33000, 70000, alignment - 1, alignment, alignment + 1};
}

void expect_block(void* block, std::size_t alignment, std::size_t size) {
  ASSERT_NE(block, nullptr) << "alignment " << alignment << " size " << size;
  ASSERT_TRUE(is_aligned(block, alignment)) << "alignment " << alignment << " size " << size;
  ASSERT_TRUE(is_aligned(block, 16) || alignment < 16);
  const std::size_t usable = malloc_usable_size(block);
  ASSERT_GE(usable, size) << "alignment " << alignment;
  const std::size_t touched = usable < 100000 ? usable : std::size_t{100000};
  fill_pattern(block, touched, alignment);
  ASSERT_TRUE(has_pattern(block, touched, alignment));
  static_cast<volatile char*>(block)[usable == 0 ? 0 : usable - 1] = 1;
}

TEST(posix_memalign_blocks, have_every_power_of_two_up_to_one_gibibyte) {
  for (std::size_t alignment = sizeof(void*); alignment <= gibibyte; alignment *= 2) {
    for (const std::size_t size : sizes_for(alignment)) {
      if (size > 64 * 1024 * 1024) continue;
      void* block = nullptr;
      ASSERT_EQ(posix_memalign(&block, opaque(alignment), opaque(size)), 0) << alignment << " " << size;
      expect_block(block, alignment, size);
      std::free(block);
    }
  }
}

TEST(aligned_alloc_blocks, have_every_power_of_two_up_to_one_gibibyte) {
  for (std::size_t alignment = 1; alignment <= gibibyte; alignment *= 2) {
    for (const std::size_t size : sizes_for(alignment)) {
      if (size > 64 * 1024 * 1024) continue;
      void* block = std::aligned_alloc(opaque(alignment), opaque(size));
      expect_block(block, alignment, size);
      std::free(block);
    }
  }
}

TEST(memalign_blocks, have_every_power_of_two_up_to_one_gibibyte) {
  for (std::size_t alignment = 1; alignment <= gibibyte; alignment *= 4) {
    void* block = memalign(opaque(alignment), opaque(std::size_t{200}));
    expect_block(block, alignment, 200);
    std::free(block);
  }
}

TEST(aligned_blocks, of_many_kinds_live_together) {
  std::vector<void*> blocks;
  std::vector<std::size_t> sizes;
  for (std::size_t alignment = 16; alignment <= 65536; alignment *= 2) {
    for (std::size_t size = 1; size <= 3 * alignment; size += alignment / 3 + 1) {
      blocks.push_back(std::aligned_alloc(opaque(alignment), opaque(size)));
      sizes.push_back(size);
      ASSERT_NE(blocks.back(), nullptr);
      ASSERT_TRUE(is_aligned(blocks.back(), alignment));
      fill_pattern(blocks.back(), size, blocks.size());
    }
  }
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    ASSERT_TRUE(has_pattern(blocks[index], sizes[index], index + 1));
    std::free(blocks[index]);
  }
}

TEST(aligned_blocks, keep_their_content_in_realloc) {
  for (std::size_t alignment = 32; alignment <= 1024 * 1024; alignment *= 2) {
    void* block = nullptr;
    ASSERT_EQ(posix_memalign(&block, alignment, opaque(std::size_t{300})), 0);
    fill_pattern(block, 300, alignment);
    block = std::realloc(block, opaque(std::size_t{9000}));
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(has_pattern(block, 300, alignment));
    std::free(block);
  }
}

TEST(posix_memalign_errors, are_einval_and_leave_the_pointer_alone) {
  int target = 0;
  for (const std::size_t alignment :
       {0ul, 1ul, 2ul, 4ul, 7ul, 12ul, 24ul, 48ul, 100ul, 4097ul, SIZE_MAX, SIZE_MAX / 2}) {
    void* block = &target;
    EXPECT_EQ(posix_memalign(&block, opaque(alignment), opaque(std::size_t{64})), EINVAL) << alignment;
    EXPECT_EQ(block, &target) << alignment;
  }
}

TEST(aligned_alloc_errors, are_null_and_einval_for_what_is_no_power_of_two) {
  for (const std::size_t alignment : {0ul, 3ul, 7ul, 12ul, 24ul, 48ul, 100ul, 4097ul, SIZE_MAX}) {
    errno = 0;
    void* block = std::aligned_alloc(opaque(alignment), opaque(std::size_t{64}));
    EXPECT_EQ(block, nullptr) << alignment;
    EXPECT_EQ(errno, EINVAL) << alignment;
    std::free(block);
  }
}

TEST(valloc_and_pvalloc, give_whole_os_pages) {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, page - 1, page, page + 1, 10 * page + 5}) {
    void* first = valloc(opaque(size));
    expect_block(first, page, size);
    void* second = pvalloc(opaque(size));
    expect_block(second, page, (size + page - 1) / page * page);
    std::free(first);
    std::free(second);
  }
}

}  // namespace
