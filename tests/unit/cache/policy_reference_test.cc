// Each policy against its naive statement: the same requests must be hits, every one of them, on a million requests of
// several kinds, with entries of one weight and of many.
#include <gtest/gtest.h>

#include <tenure/eviction/belady.hpp>
#include <tenure/eviction/simulation.hpp>

#include "naive_pairings.h"
#include "request_streams.h"

namespace tenure::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t requests_each = 2'500;
#else
constexpr std::size_t requests_each = 62'500;
#endif

using policy_reference = of_every_pairing;
INSTANTIATE_TEST_SUITE_P(, policy_reference, testing::ValuesIn(naive_pairings()), name_of_pairing);

std::vector<stream> streams(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::size_t n = requests_each;
  return {zipf(random, n, 150, 0.9), joined({recency(random, n / 2, 30, 1000), loop(n / 2, 70)}),
          scan_and_hot(random, n, 90, 100'000), zipf(random, n, 60, 0.2)};
}

void compare(const pairing& pair, std::uint64_t capacity, bool weighted) {
  for (std::uint64_t seed : {1u, 2u}) {
    int kind = 0;
    for (const stream& requests : streams(seed)) {
      eviction::simulation<any_policy> shipped(capacity);
      const auto naive = pair.make_naive(capacity);
      for (std::size_t place = 0; place < requests.size(); ++place) {
        const std::uint64_t id = requests[place];
        const auto weight = weighted ? static_cast<std::uint32_t>(1 + id * 2654435761u % 7) : 1u;
        ASSERT_EQ(shipped.access(id, weight), naive->access(id, weight))
            << "seed " << seed << ", stream " << kind << ", request " << place;
        if (place % 1024 == 0) shipped.check();
      }
      shipped.check();
      EXPECT_GT(shipped.hits(), 0u);
      ++kind;
    }
  }
}

// Twice 8 streams of 62,500 requests: a million.
TEST_P(policy_reference, hits_what_its_naive_statement_hits) { compare(GetParam(), 50, false); }
TEST_P(policy_reference, hits_what_its_naive_statement_hits_with_weights) { compare(GetParam(), 120, true); }

// The corners: everything has to leave at once, and nothing fits beside another.
TEST_P(policy_reference, agrees_at_the_smallest_capacities) {
  std::mt19937_64 random(3);
  const stream requests = zipf(random, 3000, 12, 0.5);
  for (std::uint64_t capacity = 1; capacity <= 12; ++capacity) {
    for (const bool weighted : {false, true}) {
      eviction::simulation<any_policy> shipped(capacity);
      const auto naive = GetParam().make_naive(capacity);
      for (const std::uint64_t id : requests) {
        const auto weight = weighted ? static_cast<std::uint32_t>(1 + id % 5) : 1u;
        ASSERT_EQ(shipped.access(id, weight), naive->access(id, weight)) << "capacity " << capacity;
        shipped.check();
      }
    }
  }
}

// The best that can be, by trying every choice.
std::uint64_t best_by_trying(const stream& requests, std::size_t place, std::vector<std::uint64_t> here,
                             std::size_t capacity) {
  if (place == requests.size()) return 0;
  if (std::find(here.begin(), here.end(), requests[place]) != here.end()) {
    return 1 + best_by_trying(requests, place + 1, here, capacity);
  }
  std::uint64_t best = best_by_trying(requests, place + 1, here, capacity);
  if (here.size() < capacity) {
    here.push_back(requests[place]);
    return std::max(best, best_by_trying(requests, place + 1, here, capacity));
  }
  for (std::uint64_t& one : here) {
    const std::uint64_t given_up = std::exchange(one, requests[place]);
    best = std::max(best, best_by_trying(requests, place + 1, here, capacity));
    one = given_up;
  }
  return best;
}

TEST(belady, hits_as_many_as_can_be_hit) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 60; ++round) {
    const stream requests = zipf(random, 11, 5, 0.3);
    std::vector<eviction::request> trace;
    for (const std::uint64_t id : requests) trace.push_back({id, 1});
    for (std::size_t capacity = 1; capacity <= 3; ++capacity) {
      EXPECT_EQ(eviction::optimal_hits(trace, capacity), best_by_trying(requests, 0, {}, capacity));
    }
  }
}

}  // namespace
}  // namespace tenure::test
