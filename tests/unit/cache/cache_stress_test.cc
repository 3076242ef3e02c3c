// The cache under many threads: never a byte beyond its bound, never a value that is not its key's, and each value that
// was put told as removed once. Under ThreadSanitizer it also holds the lock-free reads to their promises.
#include <gtest/gtest.h>
#include <malloc.h>
#include <tenure/cache.hpp>
#include <tenure/eviction/lru.hpp>

#include <atomic>
#include <random>
#include <string>
#include <thread>

#include "any_policy.h"

namespace tenure::test {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 3'000;
#else
constexpr int rounds = 30'000;
#endif

// What is alive, by the test's own count.
std::atomic<std::int64_t> live{0};

struct token {
  token() noexcept { ++live; }
  token(const token&) noexcept { ++live; }
  token& operator=(const token&) = default;
  ~token() { --live; }
};

struct counted {
  std::uint64_t key;
  std::string text;
  [[no_unique_address]] token alive{};
};
counted value_of(std::uint64_t key, std::size_t size) {
  return {key, std::string(size, static_cast<char>('a' + key % 26))};
}

template <class function>
void in_threads(int count, function run) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([run, i] { run(i); });
  for (std::thread& one : threads) one.join();
}

using cache_stress = of_every_policy;
INSTANTIATE_TEST_SUITE_P(, cache_stress,
                         testing::Values(&policy_named("lru"), &policy_named("s3-fifo"), &policy_named("adaptive")),
                         name_of);

TEST_P(cache_stress, never_holds_a_byte_beyond_its_bound) {
  constexpr std::uint64_t limit = 300 * 1024;
  {
    cache<std::uint64_t, counted, any_policy> shipped(limit_bytes{limit});
    std::atomic<std::uint64_t> kept{0}, gone{0};
    shipped.on_removal([&](const std::uint64_t& key, const counted* value, removal_cause) {
      EXPECT_EQ(value->key, key);
      gone.fetch_add(1);
    });
    in_threads(16, [&](int number) {
      std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
      for (int round = 0; round < rounds; ++round) {
        const std::uint64_t key = random() % 64 * (random() % 16);
        const std::uint64_t draw = random() % 16;
        if (draw < 9) {
          if (const auto found = shipped.get(key)) {
            EXPECT_EQ(found->key, key);
            EXPECT_EQ(found->text.back(), static_cast<char>('a' + key % 26));
          }
        } else if (draw < 15) {
          const auto strength = random() % 4 == 0 ? value_strength::firm : value_strength::soft;
          if (shipped.put(key, value_of(key, 1 + random() % 3000), strength)) kept.fetch_add(1);
        } else if (round % 64 == 0) {
          tenure_relieve_pressure(10'000);
        } else {
          shipped.erase(key);
        }
        const std::uint64_t used = shipped.statistics().used_bytes;
        if (used > limit) ADD_FAILURE() << used;
      }
    });
    shipped.check();
    const cache_statistics figures = shipped.statistics();
    EXPECT_LE(figures.peak_used_bytes, limit);
    EXPECT_EQ(figures.puts, kept);
    EXPECT_EQ(kept - gone, figures.entries) << "each that was kept is there, or told as gone";
    EXPECT_EQ(live.load(), static_cast<std::int64_t>(figures.entries + figures.waiting_entries));
    EXPECT_GT(figures.hits, 0u);
    shipped.clear();
    shipped.trim();
    EXPECT_EQ(live.load(), 0);
  }
  EXPECT_EQ(live.load(), 0);
}

// A key that is always there is always found, whatever else moves in the table.
TEST(cache_concurrent, finds_what_stays) {
  cache<std::uint64_t, std::uint64_t, eviction::lru> shipped(limit_entries{100'000});
  constexpr std::uint64_t stays = 200;
  for (std::uint64_t key = 0; key < stays; ++key) shipped.put(key, key);
  in_threads(6, [&](int number) {
    std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
    for (int round = 0; round < rounds; ++round) {
      if (number < 3) {
        const std::uint64_t key = random() % stays;
        const auto found = shipped.get(key);
        EXPECT_TRUE(found && *found % stays == key) << key;
        if (round % 8 == 0) shipped.put(key, key + stays * (random() % 100));
      } else {
        // Comes and goes, and makes the table grow.
        const std::uint64_t key = stays + static_cast<std::uint64_t>(number) * 1'000'000 + random() % 4000;
        if (random() % 2 == 0) {
          shipped.put(key, key);
        } else {
          shipped.erase(key);
        }
      }
    }
  });
  shipped.check();
  EXPECT_EQ(shipped.statistics().evictions, 0u);
}

// Handles that go to other threads, that are copied and that outlive their entries.
TEST(cache_concurrent, passes_handles_between_threads) {
  using texts = cache<int, std::string>;
  texts shipped(limit_bytes{256 * 1024});
  std::mutex lock;
  std::vector<texts::handle> passed;
  in_threads(8, [&](int number) {
    std::mt19937_64 random(static_cast<std::uint64_t>(number) + 1);
    for (int round = 0; round < rounds / 2; ++round) {
      const int key = static_cast<int>(random() % 300);
      auto found = shipped.get_or_load(key, [](int of) { return std::string(static_cast<std::size_t>(of + 20), 'v'); });
      EXPECT_EQ(found->size(), static_cast<std::size_t>(found.key() + 20));
      const std::lock_guard hold(lock);
      if (passed.size() < 40) passed.push_back(std::move(found));
      if (random() % 4 == 0) passed.push_back(passed[random() % passed.size()]);
      if (passed.size() >= 60) passed.erase(passed.begin(), passed.begin() + 30);
    }
  });
  for (const auto& one : passed) EXPECT_EQ(one->size(), static_cast<std::size_t>(one.key() + 20));
  passed.clear();
  shipped.trim();
  shipped.check();
  EXPECT_EQ(shipped.statistics().waiting_entries, 0u);
  EXPECT_LE(shipped.statistics().peak_used_bytes, 256u * 1024);
}

// Threads end, and others begin with their records.
TEST(cache_concurrent, outlives_its_threads) {
  cache<int, std::string> shipped(limit_entries{100});
  cache<int, std::string>::handle left;
  for (int round = 0; round < 50; ++round) {
    in_threads(4, [&](int number) {
      shipped.put(number, std::to_string(number));
      auto found = shipped.get(number);
      if (number == 0) left = std::move(found);
    });
    EXPECT_EQ(*left, "0");
  }
  left.reset();
  shipped.clear();
  shipped.trim();
  EXPECT_EQ(shipped.statistics().waiting_entries, 0u);
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// What glibc's malloc says of the whole process, beside what the cache says of itself.
TEST(cache_memory, is_what_malloc_says) {
  const auto in_use = [] {
    const struct mallinfo2 all = mallinfo2();
    return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
  };
  if (in_use() == 0) GTEST_SKIP() << "another malloc";
  cache<std::uint64_t, std::vector<std::string>, eviction::lru> shipped(limit_bytes{8 << 20});
  const std::int64_t before = in_use();
  const auto used_before = static_cast<std::int64_t>(shipped.statistics().used_bytes);
  std::mt19937_64 random(3);
  for (std::uint64_t key = 0; key < 20'000; ++key) {
    shipped.put(key, std::vector<std::string>(1 + random() % 5, std::string(random() % 500, 'v')));
  }
  const cache_statistics figures = shipped.statistics();
  const std::int64_t told = static_cast<std::int64_t>(figures.used_bytes) - used_before;
  const std::int64_t real = in_use() - before;
  // glibc keeps 8 bytes before each block that are no part of it; the table is mapped, and not malloc's.
  const auto blocks = static_cast<std::int64_t>(figures.entries) * 8;
  EXPECT_GT(real, told - static_cast<std::int64_t>(figures.table_bytes));
  EXPECT_LT(real, told + blocks * 8);
}
#endif

}  // namespace
}  // namespace tenure::test
