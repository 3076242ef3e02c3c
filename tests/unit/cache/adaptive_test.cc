// The adaptive policy must be as good as the best of those it chooses from, less a point, on streams of every kind, and
// find its way when the kind changes.
#include <gtest/gtest.h>

#include <tenure/eviction/adaptive.hpp>
#include <tenure/eviction/simulation.hpp>

#include "any_policy.h"
#include "request_streams.h"

namespace tenure::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t shorter = 4;
#else
constexpr std::size_t shorter = 1;
#endif

double ratio(std::string_view policy, const stream& requests, std::uint64_t capacity) {
  any_policy::chosen = &policy_named(policy);
  eviction::simulation<any_policy> cache(capacity);
  for (const std::uint64_t id : requests) cache.access(id);
  cache.check();
  return static_cast<double>(cache.hits()) / static_cast<double>(cache.requests());
}

double best_single(const stream& requests, std::uint64_t capacity) {
  double best = 0;
  for (const char* const policy : {"lru", "clock", "2q", "arc", "lirs", "sieve", "s3-fifo", "w-tinylfu"}) {
    best = std::max(best, ratio(policy, requests, capacity));
  }
  return best;
}

TEST(adaptive, is_as_good_as_the_best_policy_less_a_point) {
  std::mt19937_64 random(11);
  const std::size_t n = 400'000 / shorter;
  const std::vector<std::pair<const char*, stream>> kinds = {
      {"popularity", zipf(random, n, 20'000 / shorter, 0.9)},
      {"loop", loop(n, 1'400 / shorter)},
      {"recency", recency(random, n, 150.0 / shorter, 100'000)},
      {"scan and hot", scan_and_hot(random, n, 2'000 / shorter, 1'000'000)},
  };
  for (const auto& [name, requests] : kinds) {
    for (const std::uint64_t capacity : {300u / shorter, 1'000u / shorter, 2'000u / shorter}) {
      EXPECT_GE(ratio("adaptive", requests, capacity), best_single(requests, capacity) - 0.01)
          << name << ", capacity " << capacity;
    }
  }
}

// A working set that moves, then a loop longer than the cache, then the former again.
TEST(adaptive, follows_when_recency_turns_to_loops_and_back) {
  std::mt19937_64 random(12);
  const stream requests =
      joined({recency(random, 6'000, 200, 1'000'000), loop(150'000, 1'100), recency(random, 6'000, 200, 2'000'000)});
  const double lru = ratio("lru", requests, 500);
  EXPECT_LT(lru, 0.06);
  EXPECT_GT(ratio("adaptive", requests, 500), 0.40);
}

TEST(adaptive, says_what_it_runs) {
  eviction::simulation<eviction::adaptive> cache(500);
  std::mt19937_64 random(13);
  for (const std::uint64_t id : recency(random, 100'000, 400, 1'000'000)) cache.access(id);
  EXPECT_GE(cache.policy().changes(), 1u);
  EXPECT_NE(cache.policy().current_name(), "lirs") << "LIRS keeps 1 % for what is new";
  for (const std::uint64_t id : loop(100'000, 900)) cache.access(id);
  EXPECT_TRUE(cache.policy().current_name() == "lirs" || cache.policy().current_name() == "w-tinylfu")
      << cache.policy().current_name();
}

// A large cache is judged by a sample of the identities, whose simulations do not grow with it.
TEST(adaptive, remembers_little_of_a_large_cache) {
  eviction::simulation<eviction::adaptive> cache(60'000);
  std::mt19937_64 random(14);
  for (const std::uint64_t id : zipf(random, 400'000 / shorter, 100'000, 0.7)) cache.access(id);
  cache.check();
  EXPECT_GT(cache.policy().count(), 20'000u / shorter);
  EXPECT_LT(cache.policy().side_bytes(), 2u * 60'000 * 64 + (2u << 20));
}

}  // namespace
}  // namespace tenure::test
