// errno: kept by success and by every free, ENOMEM on failure.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include "support/engaged.h"
#include "support/memory_probe.h"

namespace {

using tenure::testing::exported;
using tenure::testing::opaque;

constexpr int mark = 4242;
const std::vector<std::size_t> quiet_sizes = {0, 1, 24, 1000, 9000, 40000, 200000, 1000000, 10000000, 200000000};

TEST(errno_after_success, is_what_it_was) {
  for (const std::size_t size : quiet_sizes) {
    for (int round = 0; round < 40; ++round) {
      errno = mark;
      void* block = std::malloc(opaque(size));
      ASSERT_EQ(errno, mark) << "malloc " << size;
      block = std::realloc(block, opaque(size + 100));
      ASSERT_EQ(errno, mark) << "realloc " << size;
      void* zeroed = std::calloc(opaque(std::size_t{1}), opaque(size));
      ASSERT_EQ(errno, mark) << "calloc " << size;
      void* aligned = std::aligned_alloc(opaque(std::size_t{128}), opaque(size));
      ASSERT_EQ(errno, mark) << "aligned_alloc " << size;
      void* posix = nullptr;
      ASSERT_EQ(posix_memalign(&posix, opaque(std::size_t{8192}), opaque(size)), 0);
      ASSERT_EQ(errno, mark) << "posix_memalign " << size;
      ASSERT_GE(malloc_usable_size(block), size);
      ASSERT_EQ(errno, mark) << "malloc_usable_size " << size;
      for (void* each : {block, zeroed, aligned, posix}) {
        std::free(each);
        ASSERT_EQ(errno, mark) << "free " << size;
      }
    }
  }
}

TEST(errno_after_free, is_kept_when_whole_spans_go_back) {
  std::vector<void*> blocks;
  for (int count = 0; count < 50000; ++count) blocks.push_back(std::malloc(opaque(std::size_t{1500})));
  for (void* block : blocks) {
    errno = mark;
    std::free(block);
    ASSERT_EQ(errno, mark);
  }
  errno = mark;
  malloc_trim(0);
  ASSERT_EQ(errno, mark);
}

TEST(errno_after_free, is_kept_in_another_thread) {
  std::vector<void*> blocks;
  for (int count = 0; count < 20000; ++count) blocks.push_back(std::malloc(opaque(std::size_t{100})));
  int worst = mark;
  std::thread([&] {
    for (void* block : blocks) {
      errno = mark;
      std::free(block);
      if (errno != mark) worst = errno;
    }
  }).join();
  EXPECT_EQ(worst, mark);
}

TEST(errno_after_free, is_kept_by_the_sized_and_old_forms) {
  auto* free_sized = exported<void(void*, std::size_t)>("free_sized");
  auto* free_aligned_sized = exported<void(void*, std::size_t, std::size_t)>("free_aligned_sized");
  auto* cfree = exported<void(void*)>("cfree");
  ASSERT_NE(free_sized, nullptr);
  ASSERT_NE(free_aligned_sized, nullptr);
  ASSERT_NE(cfree, nullptr);
  for (const std::size_t size : quiet_sizes) {
    errno = mark;
    free_sized(std::malloc(opaque(size)), size);
    ASSERT_EQ(errno, mark);
    free_aligned_sized(std::aligned_alloc(64, opaque(size)), 64, size);
    ASSERT_EQ(errno, mark);
    cfree(std::malloc(opaque(size)));
    ASSERT_EQ(errno, mark);
    ::operator delete(::operator new(opaque(size)));
    ASSERT_EQ(errno, mark);
  }
}

TEST(errno_after_failure, is_enomem) {
  const std::size_t too_much = static_cast<std::size_t>(PTRDIFF_MAX) - 4096;
  const auto failed = [](void* block) {
    const bool as_it_should = block == nullptr && errno == ENOMEM;
    errno = 0;
    return as_it_should;
  };
  errno = 0;
  EXPECT_TRUE(failed(std::malloc(opaque(too_much))));
  EXPECT_TRUE(failed(std::calloc(opaque(too_much / 8), opaque(std::size_t{8}))));
  EXPECT_TRUE(failed(std::realloc(opaque(static_cast<void*>(nullptr)), opaque(too_much))));
  EXPECT_TRUE(failed(reallocarray(nullptr, opaque(too_much / 2), opaque(std::size_t{2}))));
  EXPECT_TRUE(failed(std::aligned_alloc(opaque(std::size_t{64}), opaque(too_much))));
  EXPECT_TRUE(failed(memalign(opaque(std::size_t{64}), opaque(too_much))));
  EXPECT_TRUE(failed(valloc(opaque(too_much))));
  EXPECT_TRUE(failed(pvalloc(opaque(too_much))));
  void* block = nullptr;
  EXPECT_EQ(posix_memalign(&block, opaque(std::size_t{64}), opaque(too_much)), ENOMEM);
}

}  // namespace
