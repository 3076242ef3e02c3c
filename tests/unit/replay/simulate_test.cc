// The simulator against the policies' naive statements, and OPT against a naive one of its own: the same hits and the
// same bytes, by objects and by bytes, whatever the number of threads.
#include "instruments/replay/simulate.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "naive_policies.h"
#include "request_streams.h"

namespace tenure::replay {
namespace {

trace made_trace(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  trace made{.has_sizes = true};
  const auto numbers = test::joined(
      {test::zipf(random, 1500, 200, 0.9), test::loop(800, 70), test::scan_and_hot(random, 1500, 90, 100'000)});
  for (const std::uint64_t number : numbers)
    made.requests.push_back({identity_of(number), static_cast<std::uint32_t>(number * 7919 % 9)});
  return made;
}

// Gives up what is asked for again the latest.
class naive_opt {
 public:
  naive_opt(std::uint64_t capacity, const std::vector<std::uint64_t>& requests)
      : capacity_(capacity), requests_(requests) {}
  bool access(std::uint64_t identity, std::uint32_t weight) {
    ++place_;
    const bool is_hit = here_.contains(identity);
    here_[identity] = weight;
    while (used() > capacity_) {
      std::uint64_t latest = 0;
      std::size_t next_of_latest = 0;
      for (const auto& [one, unused] : here_) {
        const auto at = requests_.begin() + static_cast<std::ptrdiff_t>(place_);
        const auto next = static_cast<std::size_t>(std::find(at, requests_.end(), one) - requests_.begin());
        // Of those that are never asked for again the one with the greatest identity, as the simulator has it.
        if (next >= next_of_latest) {
          next_of_latest = next;
          latest = one;
        }
      }
      here_.erase(latest);
    }
    return is_hit;
  }

 private:
  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [unused, weight] : here_) sum += weight;
    return sum;
  }

  std::uint64_t capacity_;
  const std::vector<std::uint64_t>& requests_;
  std::size_t place_ = 0;
  std::map<std::uint64_t, std::uint32_t> here_;
};

struct figures {
  std::uint64_t hits = 0;
  std::uint64_t bytes = 0;
};

template <class naive>
figures run(naive cache, const trace& of, bool is_in_bytes) {
  figures sum;
  for (const request& one : of.requests) {
    if (!cache.access(one.identity, is_in_bytes ? std::max(one.size_bytes, 1u) : 1)) continue;
    ++sum.hits;
    sum.bytes += one.size_bytes;
  }
  return sum;
}

figures expected(std::string_view policy, const trace& of, std::uint64_t capacity, bool is_in_bytes) {
  using naive = std::function<figures()>;
  const auto by = [&]<class type>(std::type_identity<type>) -> naive {
    return [&of, capacity, is_in_bytes] { return run(type(capacity), of, is_in_bytes); };
  };
  std::vector<std::uint64_t> requests;
  for (const request& one : of.requests) requests.push_back(one.identity);
  const std::map<std::string_view, naive> all = {
      {"fifo", by(std::type_identity<test::naive_fifo>())},
      {"lru", by(std::type_identity<test::naive_lru>())},
      {"clock", by(std::type_identity<test::naive_clock>())},
      {"lfu", by(std::type_identity<test::naive_lfu>())},
      {"lru-k", by(std::type_identity<test::naive_lru_k>())},
      {"2q", by(std::type_identity<test::naive_two_queue>())},
      {"arc", by(std::type_identity<test::naive_arc>())},
      {"lirs", by(std::type_identity<test::naive_lirs>())},
      {"sieve", by(std::type_identity<test::naive_sieve>())},
      {"s3-fifo", by(std::type_identity<test::naive_s3_fifo>())},
      {"w-tinylfu", by(std::type_identity<test::naive_w_tiny_lfu>())},
      {"random", by(std::type_identity<test::naive_random>())},
      {"opt", [&] { return run(naive_opt(capacity, requests), of, is_in_bytes); }}};
  return all.at(policy)();
}

std::vector<std::string_view> all_policies() { return {policy_names().begin(), policy_names().end()}; }

TEST(simulate, hits_what_the_naive_statements_hit) {
  for (const bool is_in_bytes : {false, true}) {
    const trace made = made_trace(is_in_bytes ? 2 : 1);
    const std::vector<std::uint64_t> capacities = {7, 60};
    const auto results = simulate(
        made, {.policies = all_policies(), .capacities = capacities, .is_in_bytes = is_in_bytes, .threads = 3});
    ASSERT_EQ(results.size(), all_policies().size() * 2);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const simulated& one = results[i];
      EXPECT_EQ(one.policy, all_policies()[i / 2]);
      EXPECT_EQ(one.capacity, capacities[i % 2]);
      if (one.policy == "adaptive") continue;
      const figures naive = expected(one.policy, made, one.capacity, is_in_bytes);
      EXPECT_EQ(one.hits, naive.hits) << one.policy << " of " << one.capacity << (is_in_bytes ? " bytes" : "");
      EXPECT_EQ(one.hit_bytes, naive.bytes) << one.policy << " of " << one.capacity << (is_in_bytes ? " bytes" : "");
    }
  }
}

TEST(simulate, nothing_beats_what_knows_the_future) {
  const trace made = made_trace(3);
  const auto results = simulate(made, {.policies = all_policies(), .capacities = {5, 50, 100'000}, .threads = 2});
  for (std::size_t size = 0; size < 3; ++size) {
    const std::uint64_t most = results[results.size() - 3 + size].hits;
    for (std::size_t policy = 0; policy < all_policies().size(); ++policy)
      EXPECT_LE(results[policy * 3 + size].hits, most) << all_policies()[policy];
  }
  // Where everything fits, all miss each object once.
  const std::uint64_t distinct = summary_of(made).distinct_objects;
  for (std::size_t policy = 0; policy < all_policies().size(); ++policy)
    EXPECT_EQ(results[policy * 3 + 2].hits, made.requests.size() - distinct) << all_policies()[policy];
}

TEST(simulate, does_not_depend_on_the_number_of_threads) {
  const trace made = made_trace(4);
  const plan one{.policies = all_policies(), .capacities = {10, 20, 40}, .threads = 1};
  plan many = one;
  many.threads = 40;
  const auto first = simulate(made, one), second = simulate(made, many);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].hits, second[i].hits);
    EXPECT_EQ(first[i].hit_bytes, second[i].hit_bytes);
  }
  EXPECT_TRUE(simulate(made, {.policies = {}, .capacities = {1}}).empty());
}

}  // namespace
}  // namespace tenure::replay
