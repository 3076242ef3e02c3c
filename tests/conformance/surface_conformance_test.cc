// Each name of the surface is served by one and the same library. A heap that overrides only some of them corrupts the
// program that mixes them.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "support/engaged.h"
#include "support/memory_probe.h"

namespace {

std::string library_of(const char* name) {
  void* address = dlsym(RTLD_DEFAULT, name);
  if (address == nullptr) return "nobody";
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "unknown";
  return info.dli_fname;
}

class surface_test : public ::testing::TestWithParam<const char*> {};

TEST_P(surface_test, is_served_by_the_library_that_serves_malloc) {
  EXPECT_EQ(library_of(GetParam()), library_of("malloc"));
  if (tenure::testing::engaged()) {
    EXPECT_EQ(library_of(GetParam()), library_of("tenure_is_active"));
  }
}

INSTANTIATE_TEST_SUITE_P(c_names, surface_test,
                         ::testing::Values("malloc", "calloc", "realloc", "reallocarray", "free", "free_sized",
                                           "free_aligned_sized", "cfree", "posix_memalign", "aligned_alloc", "memalign",
                                           "valloc", "pvalloc", "malloc_usable_size", "mallinfo", "mallinfo2",
                                           "malloc_trim", "malloc_info", "malloc_stats", "mallopt"));

INSTANTIATE_TEST_SUITE_P(operators, surface_test,
                         ::testing::Values("_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t",
                                           "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
                                           "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
                                           "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvSt11align_val_t",
                                           "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
                                           "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t",
                                           "_ZdlPvSt11align_val_tRKSt9nothrow_t",
                                           "_ZdaPvSt11align_val_tRKSt9nothrow_t"));

// Names by which old programs and the C library's own modules still call the heap.
INSTANTIATE_TEST_SUITE_P(old_names, surface_test,
                         ::testing::Values("__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free",
                                           "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "__libc_reallocarray",
                                           "__libc_mallinfo", "__libc_mallopt"));

TEST(blocks_of_one_name, can_be_freed_by_each_other_name) {
  using tenure::testing::exported;
  using tenure::testing::opaque;
  auto* cfree = exported<void(void*)>("cfree");
  auto* free_sized = exported<void(void*, std::size_t)>("free_sized");
  ASSERT_NE(cfree, nullptr);
  ASSERT_NE(free_sized, nullptr);
  for (const std::size_t size : {std::size_t{1}, std::size_t{500}, std::size_t{50000}, std::size_t{5000000}}) {
    for (int way = 0; way < 5; ++way) {
      void* block = way % 2 == 0 ? std::malloc(opaque(size)) : std::calloc(opaque(size), 1);
      ASSERT_NE(block, nullptr);
      if (way == 0) std::free(block);
      if (way == 1) cfree(block);
      if (way == 2) free_sized(block, size);
      if (way == 3) ::operator delete(block);
      if (way == 4) block = std::realloc(block, opaque(std::size_t{0}));
    }
  }
}

}  // namespace
