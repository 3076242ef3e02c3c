// Soft and firm values: what pressure takes, in which order, what it leaves, and what is said of it; under a budget
// that the test drives, and against a naive model.
#include <gtest/gtest.h>
#include <tenure/cache.hpp>
#include <tenure/eviction/lru.hpp>

#include <algorithm>
#include <list>
#include <random>
#include <string>
#include <vector>

namespace tenure::test {
namespace {

using lru_texts = cache<int, std::string, eviction::lru>;
const std::string text(300, 'v');

struct budget {
  budget() { above.set_limits({.hard_bytes = 2 << 20}); }
  tenure::account above{"application"};
  tenure::account other{"other", "application", &above};
};

TEST(cache_strengths, pressure_takes_soft_values_oldest_first_and_no_firm_one) {
  budget of;
  lru_texts shipped(limit_bytes{1 << 20}, {.name = "texts", .parent = &of.above});
  std::vector<int> told;
  shipped.on_removal([&](const int& key, const std::string*, removal_cause why) {
    EXPECT_EQ(why, removal_cause::pressure);
    told.push_back(key);
  });
  for (int key = 0; key < 100; ++key) ASSERT_TRUE(shipped.put(key, text, value_strength::firm));
  for (int key = 1000; key < 1500; ++key) ASSERT_TRUE(shipped.put(key, text));
  for (int key = 1000; key < 1050; ++key) ASSERT_TRUE(shipped.get(key)) << "asked for, so the last to go";
  shipped.check();
  EXPECT_EQ(shipped.statistics().firm_entries, 100u);

  const std::uint64_t left = (2 << 20) - of.above.statistics().held_bytes;
  ASSERT_TRUE(of.other.try_charge(left + 40'000)) << "the cache gives what is wanted";
  std::vector<int> expected(told.size());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = 1050 + static_cast<int>(i);
  EXPECT_EQ(told, expected);
  EXPECT_GT(told.size(), 40'000 / 1000u);
  EXPECT_LT(told.size(), 40'000 / 300u + 2);
  cache_statistics figures = shipped.statistics();
  EXPECT_EQ(figures.pressure_evictions, told.size());
  EXPECT_EQ(figures.evictions, told.size());
  EXPECT_GE(figures.pressure_bytes, 40'000u);
  EXPECT_LE(figures.pressure_bytes, 41'000u);

  // More than all of the soft ones are: they go, and the charge is refused.
  EXPECT_FALSE(of.other.try_charge(1 << 20));
  EXPECT_EQ(shipped.size(), 100u);
  EXPECT_EQ(std::vector<int>(told.end() - 50, told.end()).front(), 1000) << "what was asked for went last";
  for (int key = 0; key < 100; ++key) EXPECT_TRUE(shipped.contains(key)) << key;
  EXPECT_EQ(tenure_relieve_pressure(1 << 20), 0u);
  EXPECT_EQ(shipped.statistics().firm_entries, 100u);
  shipped.check();
  EXPECT_GT(shipped.trim(), 30'000u) << "the owner may want all";
  EXPECT_EQ(shipped.size(), 0u);
  EXPECT_EQ(shipped.statistics().pressure_evictions, 600u);
}

TEST(cache_strengths, loaders_and_put_take_the_options_strength) {
  cache_options options{.name = "firm"};
  options.strength = value_strength::firm;
  lru_texts shipped(limit_bytes{1 << 20}, options);
  EXPECT_TRUE(shipped.get_or_load(1, [](int) { return text; }));
  EXPECT_TRUE(shipped.put(2, text));
  EXPECT_TRUE(shipped.put(3, text, value_strength::soft));
  EXPECT_TRUE(shipped.put_absent(4));
  EXPECT_EQ(shipped.statistics().firm_entries, 2u);
  // A value that replaces another has its own strength.
  EXPECT_TRUE(shipped.put(1, text, value_strength::soft));
  EXPECT_TRUE(shipped.put(3, text, value_strength::firm));
  EXPECT_EQ(shipped.statistics().firm_entries, 2u);
  EXPECT_GT(tenure_relieve_pressure(1 << 20), 0u);
  EXPECT_FALSE(shipped.contains(1));
  EXPECT_TRUE(shipped.contains(2) && shipped.contains(3));
  EXPECT_FALSE(shipped.get(4).is_absent());
  shipped.check();
}

// The bound holds for both together, whichever policy, and with a reserve for the second policy's memory.
template <class Policy>
void keep_a_bound() {
  constexpr std::uint64_t limit = 512 * 1024;
  cache<int, std::string, Policy> shipped(limit_bytes{limit}, {.policy_bytes = 32 * 1024});
  std::mt19937_64 random(6);
  for (int step = 0; step < 20'000; ++step) {
    const auto strength = random() % 3 == 0 ? value_strength::firm : value_strength::soft;
    const int key = static_cast<int>(random() % 3000);
    if (!shipped.get(key)) shipped.put(key, std::string(random() % 900, 'v'), strength);
    ASSERT_LE(shipped.statistics().used_bytes, limit);
    if (step % 500 == 0) shipped.check();
  }
  const cache_statistics figures = shipped.statistics();
  EXPECT_LE(figures.peak_used_bytes, limit);
  EXPECT_GT(figures.entries, 200u);
  EXPECT_GT(figures.firm_entries, 200u);
  EXPECT_LE(figures.policy_bytes, 64u * 1024);
}
TEST(cache_strengths, keep_a_bound_in_bytes) {
  keep_a_bound<eviction::lru>();
  keep_a_bound<eviction::adaptive>();
}

// Two lists, most recent first: firm ones push out soft ones, and each its own oldest.
class naive {
 public:
  explicit naive(std::size_t capacity) : capacity_(capacity) {}
  bool get(int key) {
    for (std::list<int>* of : {&firm_, &soft_}) {
      const auto at = std::find(of->begin(), of->end(), key);
      if (at == of->end()) continue;
      of->splice(of->begin(), *of, at);
      return true;
    }
    return false;
  }
  void erase(int key) {
    firm_.remove(key);
    soft_.remove(key);
  }
  bool put(int key, value_strength strength) {
    erase(key);
    if (strength == value_strength::soft && firm_.size() == capacity_) {
      soft_.clear();
      return false;
    }
    (strength == value_strength::firm ? firm_ : soft_).push_front(key);
    while (firm_.size() > capacity_) firm_.pop_back();
    while (firm_.size() + soft_.size() > capacity_) soft_.pop_back();
    return true;
  }
  void relieve() { soft_.clear(); }
  void set_capacity(std::size_t capacity) {
    capacity_ = capacity;
    while (firm_.size() > capacity_) firm_.pop_back();
    while (firm_.size() + soft_.size() > capacity_) soft_.pop_back();
  }
  std::size_t size() const { return firm_.size() + soft_.size(); }
  std::size_t firm_size() const { return firm_.size(); }

 private:
  std::size_t capacity_;
  std::list<int> firm_, soft_;
};

TEST(cache_strengths, hold_what_a_naive_model_holds) {
  cache<int, int, eviction::lru> shipped(limit_entries{40});
  naive model(40);
  std::mt19937_64 random(7);
  for (int step = 0; step < 60'000; ++step) {
    const int key = static_cast<int>(random() % 90);
    const auto strength =
        random() % (step / 10'000 % 2 == 0 ? 6 : 2) == 0 ? value_strength::firm : value_strength::soft;
    switch (random() % 16) {
      case 0:
        shipped.erase(key);
        model.erase(key);
        break;
      case 1:
        if (random() % 64 != 0) break;
        tenure_relieve_pressure(std::uint64_t{1} << 40);
        model.relieve();
        break;
      case 2:
        if (random() % 64 != 0) break;
        model.set_capacity(static_cast<std::size_t>(key) + 1);
        shipped.set_limit(limit_entries{static_cast<std::uint64_t>(key) + 1});
        break;
      case 3:
      case 4:
      case 5:
        ASSERT_EQ(shipped.put(key, step, strength), model.put(key, strength)) << "step " << step;
        break;
      default:
        ASSERT_EQ(static_cast<bool>(shipped.get(key)), model.get(key)) << "step " << step;
    }
    ASSERT_EQ(shipped.size(), model.size()) << "step " << step;
    ASSERT_EQ(shipped.statistics().firm_entries, model.firm_size()) << "step " << step;
    if (step % 1000 == 0) shipped.check();
  }
}

}  // namespace
}  // namespace tenure::test
