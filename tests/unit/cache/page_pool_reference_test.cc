// A page pool hits what its policy hits in its naive statement, request by request: reads and writes, clean pages and
// dirty ones, whole streams of several kinds.
#include <gtest/gtest.h>

#include <tenure/eviction/adaptive.hpp>
#include <tenure/eviction/simulation.hpp>
#include <tenure/page_pool.hpp>

#include "naive_pairings.h"
#include "paged_memory.h"
#include "request_streams.h"

namespace tenure::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t requests_each = 2'000;
#else
constexpr std::size_t requests_each = 20'000;
#endif

constexpr std::size_t frames = 50;
constexpr std::size_t policy_bytes = 1 << 20;

// The policy's own simulation where there is no naive statement of it.
struct simulated_adaptive {
  explicit simulated_adaptive(std::uint64_t capacity) : simulated(capacity, policy_bytes) {}
  bool access(std::uint64_t id, std::uint32_t weight) { return simulated.access(id, weight); }
  eviction::simulation<eviction::adaptive> simulated;
};

std::vector<pairing> pairings() {
  std::vector<pairing> all = naive_pairings();
  all.push_back(paired<simulated_adaptive>("adaptive"));
  return all;
}
using page_pool_reference = of_every_pairing;
INSTANTIATE_TEST_SUITE_P(, page_pool_reference, testing::ValuesIn(pairings()), name_of_pairing);

// What the pool tells its policy of a page, by the same arithmetic.
std::uint64_t identity_of(std::uint64_t page) {
  std::uint64_t key = (std::uint64_t{1} << 48) | page;
  for (int i = 0; i < 2; ++i) key = (key ^ key >> 32) * 0xd6e8feb86659fd93u;
  return key ^ key >> 32;
}

TEST_P(page_pool_reference, hits_what_its_policy_hits) {
  std::mt19937_64 random(7);
  const std::size_t n = requests_each;
  int kind = 0;
  for (const stream& requests : {zipf(random, n, 150, 0.9), joined({recency(random, n / 2, 30, 1000), loop(n / 2, 70)}),
                                 scan_and_hot(random, n, 90, 1000)}) {
    const std::uint64_t pages = *std::max_element(requests.begin(), requests.end()) + 1;
    page_pool<any_policy> pool(
        {.page_bytes = 512, .limit_pages = frames, .has_thread = false, .policy_bytes = policy_bytes});
    const std::uint32_t file = pool.add(std::make_shared<paged_memory>(pages));
    const auto naive = GetParam().make_naive(frames);
    std::uint64_t hits = 0;
    for (std::size_t place = 0; place < requests.size(); ++place) {
      const std::uint64_t number = requests[place];
      const bool is_here = naive->access(identity_of(number), 1);
      const std::uint64_t misses = pool.statistics().misses;
      if (place % 3 == 0) {
        const writable_page page = pool.pin_to_write({file, number});
        ASSERT_EQ(mark_of(page.bytes()).number, number);
      } else {
        const pinned_page page = pool.pin({file, number});
        ASSERT_EQ(mark_of(page.bytes()).number, number);
      }
      ASSERT_EQ(pool.statistics().misses == misses, is_here) << "stream " << kind << ", request " << place;
      hits += is_here;
      if (place % 1024 == 0) pool.check();
    }
    const page_pool_statistics told = pool.statistics();
    EXPECT_EQ(told.hits, hits);
    EXPECT_EQ(told.hits + told.misses, requests.size());
    EXPECT_EQ(told.reads, told.misses);
    EXPECT_GT(told.writes, 0u);
    EXPECT_LE(told.peak_frames, frames);
    ++kind;
  }
}

}  // namespace
}  // namespace tenure::test
