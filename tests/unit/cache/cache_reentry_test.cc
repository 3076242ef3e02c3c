// What the cache promises while code of its user runs within it, or fails there: listeners, destructors, executors, and
// accounts that refuse when a value has been built already.
#include <gtest/gtest.h>
#include <tenure/account.hpp>
#include <tenure/cache.hpp>
#include <tenure/eviction/lru.hpp>

#include <functional>
#include <string>

namespace tenure::test {
namespace {

using namespace std::chrono_literals;

// The account above refuses at the end only: what has been moved into the entry by then comes back.
TEST(cache_refusal, leaves_key_and_value_as_they_were) {
  account above("above");
  above.set_limits({.hard_bytes = 200'000});
  cache<std::string, std::string> shipped(limit_bytes{1 << 20}, {.parent = &above});
  const std::string key(100, 'k'), value(150'000, 'v');
  ASSERT_TRUE(shipped.put(key, "small"));
  const auto found = shipped.get_or_load(std::string(99, 'k'), [&](const auto&) { return value; });
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, value);
  EXPECT_EQ(found.key(), std::string(99, 'k'));
  EXPECT_FALSE(shipped.put(key, value));
  EXPECT_FALSE(shipped.contains(key)) << "what was put before is not what was put last";
  shipped.check();
}

// A key that owns memory of its own, and a value that gets none from the cache.
TEST(cache_refusal, leaves_a_key_whose_value_has_no_room) {
  cache<std::string, std::pmr::vector<char>> shipped(limit_bytes{128 * 1024});
  const std::string key(100, 'k');
  ASSERT_TRUE(shipped.put(key, std::pmr::vector<char>(10)));
  EXPECT_FALSE(shipped.put(key, std::pmr::vector<char>(1 << 20)));
  EXPECT_FALSE(shipped.contains(key));
}

// Listeners and destructors that put grow the table, in the midst of another put.
TEST(cache_reentry, a_listener_puts) {
  cache<int, std::string> shipped(limit_bytes{256 * 1024});
  int more = 1'000'000;
  shipped.on_removal([&](int key, const std::string*, removal_cause) {
    if (key < 1'000'000) shipped.put(more++, "told");
  });
  for (int key = 0; key < 3000; ++key) shipped.put(key, std::string(static_cast<std::size_t>(key % 2000), 'v'));
  EXPECT_GT(more, 1'000'500);
  shipped.check();
  EXPECT_LE(shipped.statistics().peak_used_bytes, 256u * 1024);
}

// The end of a value runs code of its user's.
std::shared_ptr<int> ending_with(std::function<void()> on_end) {
  return {new int(0), [on_end = std::move(on_end)](int* gone) {
            delete gone;
            if (on_end) on_end();
          }};
}

TEST(cache_reentry, a_destructor_puts) {
  using shipped_cache = cache<int, std::shared_ptr<int>>;
  std::unique_ptr<shipped_cache> shipped = std::make_unique<shipped_cache>(limit_entries{1000});
  int more = 1'000'000;
  for (int key = 0; key < 5000; ++key) {
    shipped->put(key, ending_with([&] {
                   if (shipped != nullptr) shipped->put(more++, ending_with({}));
                 }));
  }
  EXPECT_GT(more, 1'001'000);
  shipped->check();
  shipped->clear();
  shipped->check();
  shipped->clear();
  EXPECT_EQ(shipped->size(), 0u);
}

// A key that asks the cache when it ends, of loads that are under way too.
struct asking_key {
  int value = 0;
  std::function<void()>* end = nullptr;
  bool operator==(const asking_key& other) const { return value == other.value; }
  asking_key(int of, std::function<void()>* on_end) : value(of), end(on_end) {}
  asking_key(const asking_key&) = default;
  asking_key& operator=(const asking_key&) = default;
  ~asking_key() {
    if (end != nullptr && *end) (*end)();
  }
};
struct hash_of_asking_key {
  std::size_t operator()(const asking_key& key) const { return std::hash<int>{}(key.value); }
};

TEST(cache_reentry, a_key_asks_when_it_ends) {
  std::function<void()> end;
  cache<asking_key, int, eviction::lru, hash_of_asking_key> shipped(limit_entries{4});
  int asked = 0;
  const auto load = [](const asking_key& key) { return key.value; };
  end = [&] {
    ++asked;
    EXPECT_EQ(*shipped.get_or_load(asking_key(7, nullptr), load), 7);
  };
  for (int i = 0; i < 40; ++i) EXPECT_EQ(*shipped.get_or_load(asking_key(i % 10 * 16, &end), load), i % 10 * 16);
  EXPECT_GT(asked, 40);
  end = nullptr;
}

// Nobody asks for their bytes where the bound is in entries; they go all the same.
TEST(cache_waiting, ends_when_handles_are_gone) {
  cache<int, std::shared_ptr<int>> shipped(limit_entries{10});
  std::vector<std::weak_ptr<int>> all;
  for (int key = 0; key < 1000; ++key) {
    const auto value = std::make_shared<int>(key);
    all.push_back(value);
    shipped.put(key, value);
    const auto held = shipped.get(key);
    shipped.erase(key);
  }
  EXPECT_LE(shipped.statistics().waiting_entries, 16u);
  const auto living = std::count_if(all.begin(), all.end(), [](const auto& one) { return !one.expired(); });
  EXPECT_LE(living, 26);
}

TEST(cache_waiting, is_not_for_what_has_expired) {
  std::chrono::nanoseconds time{0};
  cache<int, std::shared_ptr<int>> shipped(limit_entries{10},
                                           {.expire_after_write = 10s, .clock = [&] { return time; }});
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = value;
  shipped.put(1, std::move(value));
  time = 10s;
  EXPECT_FALSE(shipped.get(1));
  EXPECT_TRUE(seen.expired()) << "it went when it was met";
}

// Whatever becomes of a refresh, the next request may try again.
struct cache_refresh_failure : testing::Test {
  std::chrono::nanoseconds time{0};
  std::vector<std::function<void()>> tasks;
  bool throws = false;
  int loads = 0;
  using texts = cache<int, std::string>;

  cache_options options() {
    return {.refresh_after = 10s,
            .executor =
                [this](std::function<void()> task) {
                  if (throws) throw std::runtime_error("full");
                  tasks.push_back(std::move(task));
                },
            .clock = [this] { return time; }};
  }
  auto load() {
    return [this](int) { return std::to_string(++loads); };
  }
};

TEST_F(cache_refresh_failure, of_an_executor_that_takes_nothing) {
  texts shipped(limit_entries{10}, options());
  EXPECT_EQ(*shipped.get_or_load(1, load()), "1");
  time = 10s;
  throws = true;
  EXPECT_EQ(*shipped.get_or_load(1, load()), "1");
  EXPECT_EQ(shipped.statistics().load_failures, 1u);
  throws = false;
  EXPECT_EQ(*shipped.get_or_load(1, load()), "1");
  ASSERT_EQ(tasks.size(), 1u);
  tasks[0]();
  tasks.clear();
  EXPECT_EQ(*shipped.get(1), "2");
}

TEST_F(cache_refresh_failure, of_an_executor_that_forgets) {
  texts shipped(limit_entries{10}, options());
  shipped.get_or_load(1, load());
  time = 10s;
  shipped.get_or_load(1, load());
  ASSERT_EQ(tasks.size(), 1u);
  tasks.clear();
  shipped.get_or_load(1, load());
  ASSERT_EQ(tasks.size(), 1u);
  tasks[0]();
  tasks.clear();
  EXPECT_EQ(*shipped.get(1), "2");
}

TEST_F(cache_refresh_failure, of_a_value_that_is_not_kept) {
  cache_options told = options();
  told.executor = nullptr;
  texts shipped(limit_bytes{128 * 1024}, told);
  const auto large = [this](int) { return std::string(1 << 20, static_cast<char>('a' + loads++)); };
  shipped.put(1, "small");
  time = 10s;
  EXPECT_EQ(shipped.get_or_load(1, large)->front(), 'a');
  EXPECT_EQ(shipped.get_or_load(1, large)->front(), 'b') << "not kept, so it is not the small one for ever";
  EXPECT_EQ(*shipped.get_or_load(1, [](int) { return std::string("now"); }), "now");
  EXPECT_EQ(*shipped.get(1), "now");
}

// A loader that says that there is nothing any more.
TEST_F(cache_refresh_failure, is_not_that_there_is_nothing) {
  cache_options told = options();
  told.executor = nullptr;
  texts shipped(limit_entries{10}, told);
  shipped.put(1, "old");
  time = 10s;
  EXPECT_TRUE(shipped.get_or_load(1, [](int) { return std::optional<std::string>(); }).is_absent());
  EXPECT_TRUE(shipped.get(1).is_absent());
}

}  // namespace
}  // namespace tenure::test
