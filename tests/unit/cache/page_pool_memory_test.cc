// Memory that runs out in the middle of a pin: it is told, and the pool goes on.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include <tenure/eviction.hpp>
#include <tenure/page_pool.hpp>

#include "any_policy.h"
#include "paged_memory.h"

namespace {

constexpr int never = -1;
thread_local int good_allocations = never;  // of this thread, before one that fails

void* take(std::size_t bytes) {
  if (good_allocations != never && good_allocations-- == 0) throw std::bad_alloc();
  void* const taken = std::malloc(bytes == 0 ? 1 : bytes);
  if (taken == nullptr) throw std::bad_alloc();
  return taken;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) { return take(bytes); }
[[gnu::noinline]] void* operator new[](std::size_t bytes) { return take(bytes); }
[[gnu::noinline]] void operator delete(void* taken) noexcept { std::free(taken); }
[[gnu::noinline]] void operator delete[](void* taken) noexcept { std::free(taken); }
[[gnu::noinline]] void operator delete(void* taken, std::size_t) noexcept { std::free(taken); }
[[gnu::noinline]] void operator delete[](void* taken, std::size_t) noexcept { std::free(taken); }

namespace tenure::test {
namespace {

using page_pool_memory = of_every_policy;
INSTANTIATE_TEST_SUITE_P(, page_pool_memory, testing::ValuesIn(policies()), name_of);

// The first pin for which another page has to go, without the first, the second, ... allocation of it.
TEST_P(page_pool_memory, that_runs_out_leaves_the_pool_whole) {
  for (int good = 0; good < 8; ++good) {
    const auto file = std::make_shared<paged_memory>(20);
    page_pool<any_policy> pool({.page_bytes = paged_memory::page_bytes,
                                .limit_pages = 4,
                                .wait = std::chrono::seconds(0),
                                .has_thread = false,
                                .checks = resource_checks::off});
    const std::uint32_t number = pool.add(file);
    for (std::uint64_t page = 0; page < 12; ++page) {
      if (page >= 4) good_allocations = good;
      try {
        static_cast<void>(pool.pin({number, page}));
      } catch (const std::bad_alloc&) {
      }
      good_allocations = never;
      pool.check();
    }
    for (std::uint64_t page = 0; page < 20; ++page) {
      ASSERT_EQ(mark_of(pool.pin({number, page}).bytes()).number, page) << good;
    }
    pool.check();
  }
}

}  // namespace
}  // namespace tenure::test
