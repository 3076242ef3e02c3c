// What every eviction policy must do, whatever it prefers: one suite, typed over all of them.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include <tenure/eviction.hpp>

#include "request_streams.h"

namespace tenure::test {
namespace {

template <class policy_type>
class policy_conformance : public testing::Test {
 protected:
  struct entry : policy_type::node {
    bool inside = false;
  };

  // Whoever is handed to evict() must be inside, or be the newcomer.
  auto evict() {
    return [this](typename policy_type::node& gone) {
      auto& one = static_cast<entry&>(gone);
      EXPECT_TRUE(one.inside) << "given up twice";
      one.inside = false;
      one.place = 0;
      evicted_.push_back(one.identity);
    };
  }

  void request(policy_type& policy, std::uint64_t identity, std::uint32_t weight) {
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
  void expect_same(const policy_type& policy) {
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

using policies = testing::Types<eviction::fifo, eviction::lru, eviction::clock, eviction::lfu, eviction::lru_k,
                                eviction::two_queue, eviction::arc, eviction::lirs, eviction::sieve, eviction::s3_fifo,
                                eviction::w_tiny_lfu, eviction::random_choice, eviction::adaptive>;
TYPED_TEST_SUITE(policy_conformance, policies);

TYPED_TEST(policy_conformance, meets_the_concept) { static_assert(eviction::policy<TypeParam>); }

TYPED_TEST(policy_conformance, keeps_all_that_fits) {
  TypeParam policy(40);
  for (std::uint64_t identity = 0; identity < 40; ++identity) this->request(policy, identity, 1);
  for (std::uint64_t identity = 0; identity < 40; ++identity) this->request(policy, identity, 1);
  EXPECT_TRUE(this->evicted_.empty());
  this->expect_same(policy);
}

TYPED_TEST(policy_conformance, admits_nothing_heavier_than_the_capacity) {
  TypeParam policy(40);
  this->request(policy, 1, 5);
  this->request(policy, 2, 41);
  EXPECT_EQ(this->evicted_, std::vector<std::uint64_t>{2});
  this->expect_same(policy);
}

TYPED_TEST(policy_conformance, gives_up_everything_one_by_one) {
  TypeParam policy(30);
  for (std::uint64_t identity = 0; identity < 30; ++identity) this->request(policy, identity % 17, 1);
  const std::size_t count = policy.count();
  for (std::size_t gone = 1; gone <= count; ++gone) {
    EXPECT_TRUE(policy.evict_one(this->evict()));
    EXPECT_GE(this->evicted_.size(), gone);
    policy.check();
  }
  EXPECT_EQ(policy.count(), 0u);
  EXPECT_FALSE(policy.evict_one(this->evict()));
  const std::set<std::uint64_t> different(this->evicted_.begin(), this->evicted_.end());
  EXPECT_EQ(different.size(), count);
}

// Whatever was asked for how often before: the adaptive policy counts on it.
TYPED_TEST(policy_conformance, gives_up_exactly_one_when_it_says_so) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    TypeParam policy(60);
    this->entries_.clear();
    for (int round = 0; round < 300; ++round) {
      const std::size_t burst = random() % 40;
      for (std::size_t step = 0; step < burst; ++step) {
        this->request(policy, random() % 50, static_cast<std::uint32_t>(1 + random() % 3));
      }
      const std::size_t count = policy.count(), gone = this->evicted_.size();
      const bool says = policy.evict_one(this->evict());
      ASSERT_EQ(says, count > 0);
      ASSERT_EQ(this->evicted_.size(), gone + (says ? 1 : 0)) << "seed " << seed << ", round " << round;
      this->expect_same(policy);
    }
  }
}

// Requests, removals and changes of the capacity in any order; each entry is inside or given up, never both.
TYPED_TEST(policy_conformance, stays_whole_whatever_is_done) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    std::mt19937_64 random(seed);
    const stream keys = zipf(random, 3000, 200, 0.7);
    TypeParam policy(100);
    this->entries_.clear();
    for (std::size_t place = 0; place < keys.size(); ++place) {
      const std::uint64_t identity = seed % 2 == 0 && place > 1500 ? place % 130 : keys[place];
      if (random() % 16 == 0) {
        if (auto& one = this->entries_[identity]; one != nullptr && one->inside) {
          policy.erase(*one);
          one->inside = false;
        } else if (one == nullptr) {
          this->entries_.erase(identity);
        }
      } else if (random() % 200 == 0) {
        policy.set_capacity(20 + random() % 100, this->evict());
      } else {
        this->request(policy, identity, static_cast<std::uint32_t>(1 + random() % 6));
      }
      if (place % 7 == 0) this->expect_same(policy);
    }
    while (policy.evict_one(this->evict())) {
    }
    this->expect_same(policy);
  }
}

// What is remembered stays within its limit, whatever the keys.
TYPED_TEST(policy_conformance, remembers_within_its_limit) {
  constexpr std::size_t limit_bytes = 48 * 1024;
  TypeParam policy(1000, limit_bytes);
  for (std::uint64_t identity = 0; identity < 20'000; ++identity) {
    this->request(policy, identity * 7919 % 6007, 1);
    ASSERT_LE(policy.side_bytes(), limit_bytes) << "request " << identity;
  }
  this->expect_same(policy);
}

}  // namespace
}  // namespace tenure::test
