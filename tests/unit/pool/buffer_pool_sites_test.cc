// Where a slice was made is known also where the compiler inlines nothing: this file is compiled without optimisation.
#include <gtest/gtest.h>
#include <tenure/buffer_pool.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace tenure {
namespace {

[[gnu::noinline]] buffer_slice slice_a_slice(buffer_slice& of) { return of.slice(0, 10); }
[[gnu::noinline]] buffer_slice split_a_slice(buffer_slice& of) { return of.split_front(10); }
[[gnu::noinline]] buffer_slice slice_a_lease(buffer_lease& of) { return of.slice(0, 10); }
[[gnu::noinline]] buffer_slice share_a_lease(buffer_lease& of) { return std::move(of).share(10); }

TEST(BufferPoolSites, AreOfTheCallInEveryBuild) {
  buffer_pool pool({.has_thread = false, .checks = resource_checks::off});
  std::vector<buffer_lease> leases;
  for (int i = 0; i < 4; ++i) leases.push_back(pool.take(64 << 10));
  std::vector<buffer_slice> all;
  buffer_slice first = std::move(leases[0]).share(10), second = std::move(leases[1]).share(20);
  all.push_back(slice_a_slice(first));
  all.push_back(split_a_slice(second));
  all.push_back(slice_a_lease(leases[2]));
  all.push_back(share_a_lease(leases[3]));
  leases.clear();
  std::vector<std::uint64_t> sliced;
  for (const pinned_buffers& place : pool.pinned()) {
    EXPECT_EQ(place.buffers, 1u);
    ASSERT_EQ(place.sliced.frame_count, 1u);
    sliced.push_back(place.sliced.frames[0]);
  }
  EXPECT_EQ(sliced.size(), 4u);
  for (const auto function :
       {reinterpret_cast<std::uintptr_t>(&slice_a_slice), reinterpret_cast<std::uintptr_t>(&split_a_slice),
        reinterpret_cast<std::uintptr_t>(&slice_a_lease), reinterpret_cast<std::uintptr_t>(&share_a_lease)}) {
    EXPECT_TRUE(std::any_of(sliced.begin(), sliced.end(), [&](std::uint64_t at) { return at - function < 4096; }));
  }
}

}  // namespace
}  // namespace tenure
