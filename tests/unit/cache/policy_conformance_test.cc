// What every eviction policy must do, whatever it prefers: one suite for all of them.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "any_policy.h"
#include "request_streams.h"

namespace tenure::test {
namespace {

class policy_conformance : public of_every_policy {
 protected:
  struct entry : any_policy::node {
    bool inside = false;
  };

  // Whoever is handed to evict() must be inside, or be the newcomer.
  auto evict() {
    return [this](any_policy::node& gone) {
      auto& one = static_cast<entry&>(gone);
      EXPECT_TRUE(one.inside) << "given up twice";
      one.inside = false;
      one.place = 0;
      evicted_.push_back(one.identity);
    };
  }

  void request(any_policy& policy, std::uint64_t identity, std::uint32_t weight) {
    auto& slot = entries_[identity];
    if (slot == nullptr) slot = std::make_unique<entry>();
    if (slot->inside) return policy.hit(*slot);
    *slot = entry{};
    slot->identity = identity;
    slot->weight = weight;
    slot->inside = true;
    policy.insert(*slot, evict());
  }

  // What is inside, by the test's own count.
  void expect_same(const any_policy& policy) {
    std::uint64_t weight = 0;
    std::size_t count = 0;
    for (const auto& [identity, one] : entries_) {
      weight += one->inside ? one->weight : 0;
      count += one->inside ? 1 : 0;
    }
    EXPECT_EQ(policy.used(), weight);
    EXPECT_EQ(policy.count(), count);
    EXPECT_LE(policy.used(), policy.capacity());
    policy.check();
  }

  std::map<std::uint64_t, std::unique_ptr<entry>> entries_;
  std::vector<std::uint64_t> evicted_;
};

INSTANTIATE_TEST_SUITE_P(, policy_conformance, testing::ValuesIn(policies()), name_of);

TEST_P(policy_conformance, keeps_all_that_fits) {
  any_policy policy(40);
  for (std::uint64_t identity = 0; identity < 40; ++identity) request(policy, identity, 1);
  for (std::uint64_t identity = 0; identity < 40; ++identity) request(policy, identity, 1);
  EXPECT_TRUE(evicted_.empty());
  expect_same(policy);
}

TEST_P(policy_conformance, admits_nothing_heavier_than_the_capacity) {
  any_policy policy(40);
  request(policy, 1, 5);
  request(policy, 2, 41);
  EXPECT_EQ(evicted_, std::vector<std::uint64_t>{2});
  expect_same(policy);
}

TEST_P(policy_conformance, gives_up_everything_one_by_one) {
  any_policy policy(30);
  for (std::uint64_t identity = 0; identity < 30; ++identity) request(policy, identity % 17, 1);
  const std::size_t count = policy.count();
  for (std::size_t gone = 1; gone <= count; ++gone) {
    EXPECT_TRUE(policy.evict_one(evict()));
    EXPECT_GE(evicted_.size(), gone);
    policy.check();
  }
  EXPECT_EQ(policy.count(), 0u);
  EXPECT_FALSE(policy.evict_one(evict()));
  const std::set<std::uint64_t> different(evicted_.begin(), evicted_.end());
  EXPECT_EQ(different.size(), count);
}

// Whatever was asked for how often before: the adaptive policy counts on it.
TEST_P(policy_conformance, gives_up_exactly_one_when_it_says_so) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    any_policy policy(60);
    entries_.clear();
    for (int round = 0; round < 300; ++round) {
      const std::size_t burst = random() % 40;
      for (std::size_t step = 0; step < burst; ++step) {
        request(policy, random() % 50, static_cast<std::uint32_t>(1 + random() % 3));
      }
      const std::size_t count = policy.count(), gone = evicted_.size();
      const bool says = policy.evict_one(evict());
      ASSERT_EQ(says, count > 0);
      ASSERT_EQ(evicted_.size(), gone + (says ? 1 : 0)) << "seed " << seed << ", round " << round;
      expect_same(policy);
    }
  }
}

// Requests, removals and changes of the capacity in any order; each entry is inside or given up, never both.
TEST_P(policy_conformance, stays_whole_whatever_is_done) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    std::mt19937_64 random(seed);
    const stream keys = zipf(random, 3000, 200, 0.7);
    any_policy policy(100);
    entries_.clear();
    for (std::size_t place = 0; place < keys.size(); ++place) {
      const std::uint64_t identity = seed % 2 == 0 && place > 1500 ? place % 130 : keys[place];
      if (random() % 16 == 0) {
        if (auto& one = entries_[identity]; one != nullptr && one->inside) {
          policy.erase(*one);
          one->inside = false;
        } else if (one == nullptr) {
          entries_.erase(identity);
        }
      } else if (random() % 200 == 0) {
        policy.set_capacity(20 + random() % 100, evict());
      } else {
        request(policy, identity, static_cast<std::uint32_t>(1 + random() % 6));
      }
      if (place % 7 == 0) expect_same(policy);
    }
    while (policy.evict_one(evict())) {
    }
    expect_same(policy);
  }
}

// What is remembered stays within its limit, whatever the keys.
TEST_P(policy_conformance, remembers_within_its_limit) {
  constexpr std::size_t limit_bytes = 48 * 1024;
  any_policy policy(1000, limit_bytes);
  for (std::uint64_t identity = 0; identity < 20'000; ++identity) {
    request(policy, identity * 7919 % 6007, 1);
    ASSERT_LE(policy.side_bytes(), limit_bytes) << "request " << identity;
  }
  expect_same(policy);
}

}  // namespace
}  // namespace tenure::test
