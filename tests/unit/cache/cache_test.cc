// The cache against a naive model of it, and what its header promises, with one thread.
#include <gtest/gtest.h>
#include <tenure/cache.hpp>
#include <tenure/eviction/lirs.hpp>
#include <tenure/eviction/lru.hpp>
#include <tenure/eviction/simulation.hpp>

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "any_policy.h"
#include "request_streams.h"

namespace tenure::test {
namespace {

using texts = cache<int, std::string>;
using any_texts = cache<std::uint64_t, std::string, any_policy>;

// What a policy alone would hit, by the identities that the cache gives its keys.
class model {
 public:
  explicit model(std::uint64_t capacity) : policy_(capacity) {}
  bool get(std::uint64_t key) { return policy_.contains(identity(key)) && policy_.access(identity(key)); }
  void put(std::uint64_t key) {
    policy_.erase(identity(key));
    policy_.access(identity(key));
  }
  void erase(std::uint64_t key) { policy_.erase(identity(key)); }
  bool contains(std::uint64_t key) const { return policy_.contains(identity(key)); }

 private:
  static std::uint64_t identity(std::uint64_t key) { return detail::mixed_identity(std::hash<std::uint64_t>{}(key)); }
  eviction::simulation<any_policy> policy_;
};

using cache_policies = of_every_policy;
INSTANTIATE_TEST_SUITE_P(, cache_policies, testing::ValuesIn(policies()), name_of);

// Every get is a hit just when the policy alone would have had one, and then the value is the last one that was put.
TEST_P(cache_policies, holds_what_the_policy_alone_would_hold) {
  any_texts shipped(limit_entries{100});
  model naive(100);
  std::unordered_map<std::uint64_t, std::string> last;
  std::mt19937_64 random(5);
  stream keys = joined({zipf(random, 6000, 400, 0.8), loop(6000, 130), recency(random, 6000, 60, 10'000)});
  std::uint64_t hits = 0;
  for (std::size_t step = 0; step < keys.size(); ++step) {
    const std::uint64_t key = keys[step] + 1;
    const bool expected = naive.get(key);
    const auto found = shipped.get(key);
    ASSERT_EQ(static_cast<bool>(found), expected) << "step " << step;
    if (found) {
      ++hits;
      ASSERT_EQ(*found, last[key]);
    }
    const std::uint64_t draw = random() % 32;
    if (draw == 0) {
      ASSERT_EQ(shipped.erase(key), naive.contains(key));
      naive.erase(key);
    } else if (!found || draw == 1) {
      last[key] = std::to_string(step) + std::string(step % 40, '.');
      naive.put(key);
      ASSERT_EQ(shipped.put(key, last[key]), naive.contains(key)) << "step " << step;
    }
    if (step % 500 == 0) shipped.check();
  }
  shipped.check();
  EXPECT_EQ(shipped.statistics().hits, hits);
  EXPECT_EQ(shipped.statistics().misses, keys.size() - hits);
  EXPECT_GT(hits, 500u);
}

// Entries of many sizes: at no moment more than the limit, and not much less either.
TEST_P(cache_policies, keeps_a_bound_in_bytes) {
  constexpr std::uint64_t limit = 512 * 1024;
  any_texts shipped(limit_bytes{limit}, {.policy_bytes = 128 * 1024});
  std::mt19937_64 random(6);
  for (const std::uint64_t key : zipf(random, 20'000, 4000, 0.6)) {
    if (!shipped.get(key)) shipped.put(key, std::string(random() % 900, 'v'));
    ASSERT_LE(shipped.statistics().used_bytes, limit);
  }
  shipped.check();
  const cache_statistics figures = shipped.statistics();
  EXPECT_LE(figures.peak_used_bytes, limit);
  EXPECT_GT(figures.evictions, 100u);
  EXPECT_EQ(figures.limit_bytes, limit);
  EXPECT_LE(figures.policy_bytes, 128u * 1024);
}

TEST(cache, uses_what_it_is_given) {
  texts shipped(limit_bytes{4 << 20});
  for (int key = 0; key < 60'000; ++key) shipped.put(key, std::string(200, 'v'));
  const cache_statistics figures = shipped.statistics();
  EXPECT_GT(figures.used_bytes, (4u << 20) / 100 * 95);
  EXPECT_GT(figures.entries, (4u << 20) / 100 * 75 / 450);
}

// What the cache says of an entry against what the blocks of its parts say, each asked from outside.
TEST(cache, counts_each_entry_as_the_heap_does) {
  cache<std::string, std::vector<std::string>> shipped(limit_bytes{1 << 20});
  shipped.put("warm", {});
  const std::uint64_t before = shipped.statistics().used_bytes;
  std::vector<std::string> value{std::string(100, 'a'), "short", std::string(5000, 'b')};
  std::string key(300, 'k');
  const std::uint64_t owned = detail::block_bytes(key.data()) + detail::block_bytes(value.data()) +
                              detail::block_bytes(value[0].data()) + detail::block_bytes(value[2].data());
  ASSERT_TRUE(shipped.put(std::move(key), std::move(value)));
  const std::uint64_t taken = shipped.statistics().used_bytes - before;
  EXPECT_GT(taken, owned + sizeof(std::string) + sizeof(value));
  EXPECT_LT(taken, owned + sizeof(std::string) + sizeof(value) + 160) << "the node, its times, and rounding";
  EXPECT_TRUE(shipped.erase(std::string(300, 'k')));
  EXPECT_EQ(shipped.statistics().used_bytes, before);
}

// Values that take an allocator are built in the cache's own memory, to the byte, whatever they are made of.
TEST(cache, counts_what_values_take_through_their_allocator) {
  using map = std::pmr::map<int, std::pmr::string>;
  cache<int, map> shipped(limit_bytes{1 << 20});
  shipped.put(0, {});
  const std::uint64_t before = shipped.statistics().used_bytes;
  map value;
  for (int i = 0; i < 50; ++i) value.emplace(i, std::string(200, 'v'));
  ASSERT_TRUE(shipped.put(1, value));
  const std::uint64_t taken = shipped.statistics().used_bytes - before;
  EXPECT_GT(taken, 50u * (201 + 40 + 32));
  EXPECT_LT(taken, 50u * (201 + 40 + 32 + 64));
  ASSERT_EQ(shipped.get(1)->size(), 50u);
  EXPECT_NE(shipped.get(1)->get_allocator().resource(), value.get_allocator().resource());
  shipped.clear();
  EXPECT_LT(shipped.statistics().used_bytes, before);
}

TEST(cache, refuses_what_is_too_large_and_keeps_the_rest) {
  texts shipped(limit_bytes{256 * 1024});
  for (int key = 0; key < 100; ++key) ASSERT_TRUE(shipped.put(key, std::string(100, 'v')));
  EXPECT_FALSE(shipped.put(1000, std::string(250 * 1024, 'v')));
  EXPECT_FALSE(shipped.put(7, std::string(1 << 20, 'v')));
  EXPECT_FALSE(shipped.get(7)) << "the former value must not be found in place of the new one";
  EXPECT_EQ(shipped.size(), 99u);
  EXPECT_EQ(shipped.statistics().refusals, 2u);
  cache<int, std::pmr::string> with_allocator(limit_bytes{256 * 1024});
  for (int key = 0; key < 100; ++key) ASSERT_TRUE(with_allocator.put(key, std::pmr::string(100, 'v')));
  EXPECT_FALSE(with_allocator.put(1000, std::pmr::string(250 * 1024, 'v')));
  EXPECT_EQ(with_allocator.size(), 100u);
  shipped.check();
  with_allocator.check();
}

TEST(cache, refuses_limits_that_are_none) {
  using small = texts;
  EXPECT_THROW(small(limit_bytes{1000}), std::invalid_argument);
  EXPECT_THROW(small(limit_entries{0}), std::invalid_argument);
}

// A handle keeps its value whatever happens to the entry, and what it keeps counts.
TEST(cache, keeps_what_is_held) {
  texts shipped(limit_bytes{256 * 1024});
  shipped.put(1, std::string(50'000, 'a'));
  auto held = shipped.get(1);
  auto copy = held;
  shipped.put(1, "new");
  EXPECT_EQ(*shipped.get(1), "new");
  const std::uint64_t with = shipped.statistics().used_bytes;
  EXPECT_EQ(shipped.statistics().waiting_entries, 1u);
  for (int key = 2; key < 2000; ++key) {
    shipped.put(key, std::string(500, 'b'));
    ASSERT_LE(shipped.statistics().used_bytes, 256u * 1024);
  }
  held.reset();
  EXPECT_EQ(*copy, std::string(50'000, 'a'));
  copy.reset();
  shipped.clear();
  shipped.trim(0);
  EXPECT_EQ(shipped.statistics().waiting_entries, 0u);
  EXPECT_LT(shipped.statistics().used_bytes, with - 30'000) << "the table has grown, the value is gone";
}

// More handles than a thread has slots for, let go in any order; all that is held blocks new entries and nothing else.
TEST(cache, gives_out_any_number_of_handles) {
  texts shipped(limit_bytes{128 * 1024});
  std::vector<cache<int, std::string>::handle> all;
  for (int key = 0; shipped.put(key, std::string(400, 'v')); ++key) {
    all.push_back(shipped.get(key));
    ASSERT_LT(key, 1000);
  }
  const std::size_t held = all.size();
  EXPECT_GT(held, 100u);
  EXPECT_EQ(shipped.statistics().refusals, 1u);
  EXPECT_LE(shipped.statistics().peak_used_bytes, 128u * 1024);
  shipped.clear();
  EXPECT_EQ(shipped.statistics().waiting_entries, held);
  for (const auto& one : all) ASSERT_EQ(*one, std::string(400, 'v'));
  all.erase(all.begin(), all.begin() + 50);
  EXPECT_TRUE(shipped.put(5000, std::string(400, 'v')));
  EXPECT_EQ(shipped.statistics().waiting_entries, held - 50);
  all.clear();
  shipped.check();
}

void end_while_held() {
  const cache_options named{.name = "numbers"};
  auto shipped = std::make_unique<texts>(limit_entries{10}, named);
  shipped->put(1, "one");
  const auto left = shipped->get(1);
  shipped.reset();
}

TEST(cache_death, says_that_handles_are_left) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      end_while_held(),
      "the end of a cache while 1 of its entries are in use: .*cache \"numbers\"(.|\n)*ended here\n(.|\n)*at 0x");
}

TEST(cache, lists_what_is_live) {
  texts shipped(limit_entries{1000});
  for (int key = 0; key < 700; ++key) shipped.put(key, std::to_string(key * 2));
  shipped.put_absent(5000);
  std::map<int, std::string> seen;
  shipped.for_each([&](int key, const std::string& value) { EXPECT_TRUE(seen.emplace(key, value).second); });
  ASSERT_EQ(seen.size(), 700u);
  for (const auto& [key, value] : seen) EXPECT_EQ(value, std::to_string(key * 2));
}

TEST(cache, follows_its_limit) {
  texts in_bytes(limit_bytes{1 << 20});
  for (int key = 0; key < 3000; ++key) in_bytes.put(key, std::string(250, 'v'));
  in_bytes.set_limit(limit_bytes{256 * 1024});
  EXPECT_LE(in_bytes.statistics().used_bytes, 256u * 1024);
  in_bytes.check();
  in_bytes.set_limit(limit_bytes{1 << 20});
  const std::uint64_t few = in_bytes.size();
  for (int key = 0; key < 3000; ++key) in_bytes.put(key, std::string(250, 'v'));
  EXPECT_GT(in_bytes.size(), few * 2);
  texts in_entries(limit_entries{100});
  for (int key = 0; key < 100; ++key) in_entries.put(key, "v");
  in_entries.set_limit(limit_entries{30});
  EXPECT_EQ(in_entries.size(), 30u);
  EXPECT_THROW(in_entries.set_limit(limit_bytes{1 << 20}), std::invalid_argument);
  in_entries.check();
}

// While nothing comes, the policy hears of one hit in eight: enough to know what is asked for, and all are counted.
TEST(cache, counts_every_hit_of_quiet_times) {
  any_policy::chosen = &policy_named("lru");
  any_texts shipped(limit_entries{100});
  for (std::uint64_t key = 0; key < 100; ++key) shipped.put(key, "v");
  constexpr std::uint64_t rounds = 2000;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (std::uint64_t key = 0; key < 31; ++key) ASSERT_TRUE(shipped.get(key));
  }
  EXPECT_EQ(shipped.statistics().hits, rounds * 31);
  for (std::uint64_t key = 100; key < 169; ++key) shipped.put(key, "v");
  for (std::uint64_t key = 0; key < 31; ++key) EXPECT_TRUE(shipped.contains(key)) << key;
  shipped.check();
}

// --- what goes is told

TEST(cache, tells_each_removal_once_with_its_cause) {
  std::chrono::nanoseconds time{1};
  any_policy::chosen = &policy_named("lru");
  any_texts shipped(limit_entries{3}, {.expire_after_write = std::chrono::seconds(1), .clock = [&] { return time; }});
  std::vector<std::pair<std::string, removal_cause>> told;
  shipped.on_removal([&](const std::uint64_t& key, const std::string* value, removal_cause why) {
    told.emplace_back(std::to_string(key) + (value != nullptr ? *value : "-"), why);
    if (key == 0) return;
    shipped.put_absent(0);  // no lock is held
    shipped.erase(0);
  });
  const auto take = [&] { return std::exchange(told, {}); };
  using list = std::vector<std::pair<std::string, removal_cause>>;
  shipped.put(1, "a");
  shipped.put(1, "b");
  EXPECT_EQ(take().front(), (std::pair<std::string, removal_cause>("1a", removal_cause::replaced)));
  told.clear();
  shipped.put_absent(2);
  shipped.on_removal([&](const std::uint64_t& key, const std::string* value, removal_cause why) {
    told.emplace_back(std::to_string(key) + (value != nullptr ? *value : "-"), why);
  });
  EXPECT_TRUE(shipped.erase(2));
  EXPECT_EQ(take(), (list{{"2-", removal_cause::erased}}));
  for (std::uint64_t key = 3; key < 6; ++key) shipped.put(key, "c");
  EXPECT_EQ(take(), (list{{"1b", removal_cause::evicted}}));
  shipped.trim(1);
  EXPECT_EQ(take(), (list{{"3c", removal_cause::pressure}}));
  time += std::chrono::seconds(1);
  EXPECT_FALSE(shipped.get(4));
  EXPECT_EQ(take(), (list{{"4c", removal_cause::expired}}));
  shipped.remove_expired();
  EXPECT_EQ(take(), (list{{"5c", removal_cause::expired}}));
  EXPECT_EQ(shipped.statistics().expirations, 2u);
  EXPECT_EQ(shipped.size(), 0u);
}

// --- shadows

TEST(cache, shadows_hit_what_that_policy_would_hit) {
  any_policy::chosen = &policy_named("lru");
  any_texts shipped(limit_entries{100});
  shipped.add_shadow<eviction::lru>(100, 0);
  shipped.add_shadow<eviction::lru>(200, 0);
  shipped.add_shadow<eviction::lirs>(100, 0);
  eviction::simulation<eviction::lru> same(100), twice(200);
  std::mt19937_64 random(8);
  for (const std::uint64_t key : joined({loop(6000, 150), zipf(random, 6000, 1000, 0.8)})) {
    if (!shipped.get(key)) shipped.put(key, "1");
    same.access(key);
    twice.access(key);
  }
  const auto figures = shipped.shadows();
  ASSERT_EQ(figures.size(), 3u);
  EXPECT_EQ(figures[0].hits, shipped.statistics().hits);
  EXPECT_EQ(figures[0].hits, same.hits());
  EXPECT_EQ(figures[0].requests, 12'000u);
  EXPECT_EQ(figures[1].hits, twice.hits());
  EXPECT_GT(figures[2].hits, figures[0].hits) << "LIRS hits loops";
  EXPECT_EQ(figures[2].policy, "lirs");
}

TEST(cache, sampled_shadows_are_near) {
  any_policy::chosen = &policy_named("lru");
  any_texts shipped(limit_entries{4000});
  shipped.add_shadow<eviction::lru>(4000, 3);
  std::mt19937_64 random(9);
  for (const std::uint64_t key : zipf(random, 100'000, 40'000, 0.7)) {
    if (!shipped.get(key)) shipped.put(key, "1");
  }
  const auto figures = shipped.shadows();
  EXPECT_LT(figures[0].requests, 30'000u);
  EXPECT_NEAR(figures[0].hit_ratio(), shipped.statistics().hit_ratio(), 0.04);
}

// --- the budget

TEST(cache, is_an_account_with_exact_bytes) {
  tenure::account above("application");
  texts shipped(limit_bytes{1 << 20}, {.name = "texts", .parent = &above});
  for (int key = 0; key < 1000; ++key) shipped.put(key, std::string(200, 'v'));
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_NE(tenure_account_statistics(shipped.account(), &figures), 0);
  EXPECT_STREQ(figures.name, "texts");
  EXPECT_EQ(figures.held_bytes, shipped.statistics().used_bytes);
  EXPECT_EQ(figures.hard_limit_bytes, 1u << 20);
  EXPECT_EQ(above.statistics().held_bytes, figures.held_bytes);
}

TEST(cache, gives_way_to_others_of_its_budget) {
  tenure::account above("application");
  above.set_limits({.hard_bytes = 2 << 20});
  tenure::account other("other", "application", &above);
  texts shipped(limit_bytes{1800 * 1024}, {.parent = &above});
  for (int key = 0; key < 5000; ++key) shipped.put(key, std::string(300, 'v'));
  const std::uint64_t full = shipped.size();
  ASSERT_TRUE(other.try_charge(1 << 20)) << "the cache gives what it has";
  EXPECT_LT(shipped.size(), full);
  EXPECT_LE(above.statistics().held_bytes, 2u << 20);
  // And it stays within what is left.
  for (int key = 0; key < 5000; ++key) shipped.put(key, std::string(300, 'v'));
  EXPECT_LE(above.statistics().held_bytes, 2u << 20);
  EXPECT_GT(shipped.size(), 100u);
  shipped.check();
  other.release(1 << 20);
}

}  // namespace
}  // namespace tenure::test
