// Loading, absence, expiry and refresh of tenure::cache.
#include <gtest/gtest.h>
#include <tenure/cache.hpp>
#include <tenure/eviction.hpp>

#include <atomic>
#include <set>
#include <string>
#include <thread>

namespace tenure::test {
namespace {

using namespace std::chrono_literals;
using texts = cache<int, std::string>;

// A clock that stands still.
struct fixture : testing::Test {
  std::chrono::nanoseconds time{0};
  std::function<std::chrono::nanoseconds()> clock() {
    return [this] { return time; };
  }
};
using cache_expiry = fixture;
using cache_refresh = fixture;

TEST(cache_loading, loads_what_it_does_not_have) {
  texts shipped(limit_entries{10});
  int loads = 0;
  const auto load = [&](int key) { return ++loads, std::to_string(key); };
  EXPECT_EQ(*shipped.get_or_load(7, load), "7");
  EXPECT_EQ(*shipped.get_or_load(7, load), "7");
  EXPECT_EQ(loads, 1);
  const cache_statistics figures = shipped.statistics();
  EXPECT_EQ(figures.loads, 1u);
  EXPECT_EQ(figures.hits, 1u);
  EXPECT_EQ(figures.misses, 1u);
}

TEST(cache_loading, remembers_that_there_is_nothing) {
  texts shipped(limit_entries{10});
  int loads = 0;
  const auto load = [&](int) { return ++loads, std::optional<std::string>(); };
  EXPECT_FALSE(shipped.get_or_load(7, load));
  const auto again = shipped.get_or_load(7, load);
  EXPECT_FALSE(again);
  EXPECT_TRUE(again.is_absent());
  EXPECT_EQ(again.get(), nullptr);
  EXPECT_EQ(loads, 1);
  EXPECT_FALSE(shipped.contains(7));
  EXPECT_FALSE(shipped.get(8).is_absent()) << "of 8 nothing is known";
  EXPECT_TRUE(shipped.put(7, "now"));
  EXPECT_EQ(*shipped.get(7), "now");
}

// Everybody waits for one load, and all get its value or its failure.
TEST(cache_loading, is_done_by_one_for_all) {
  for (const bool fails : {false, true}) {
    texts shipped(limit_entries{10});
    std::atomic<int> loads{0}, values{0}, failures{0};
    const auto ask = [&] {
      try {
        const auto found = shipped.get_or_load(1, [&](int) -> std::string {
          ++loads;
          // Until all others wait.
          while (shipped.statistics().joined_loads < 7) std::this_thread::yield();
          if (fails) throw std::runtime_error("no such page");
          return "page";
        });
        if (found && *found == "page") ++values;
      } catch (const std::runtime_error& error) {
        if (error.what() == std::string("no such page")) ++failures;
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(ask);
    for (std::thread& one : threads) one.join();
    EXPECT_EQ(loads, 1);
    EXPECT_EQ(values, fails ? 0 : 8);
    EXPECT_EQ(failures, fails ? 8 : 0);
    EXPECT_EQ(shipped.statistics().load_failures, fails ? 1u : 0u);
    EXPECT_EQ(shipped.contains(1), !fails);
    if (fails) {
      EXPECT_EQ(*shipped.get_or_load(1, [](int) { return std::string("later"); }), "later");
    }
  }
}

TEST(cache_loading, says_so_when_a_loader_waits_for_itself) {
  texts shipped(limit_entries{10});
  const auto load = [&](int key) { return *shipped.get_or_load(key, [](int) { return std::string(); }); };
  EXPECT_THROW(shipped.get_or_load(1, load), std::logic_error);
  EXPECT_EQ(*shipped.get_or_load(1, [&](int) { return *shipped.get_or_load(2, [](int) { return std::string("2"); }); }),
            "2");
}

// What is too large to be kept is given to whoever asked for it.
TEST(cache_loading, gives_what_it_cannot_keep) {
  texts shipped(limit_bytes{128 * 1024});
  const auto large = shipped.get_or_load(1, [](int) { return std::string(1 << 20, 'v'); });
  ASSERT_TRUE(large);
  EXPECT_EQ(large->size(), 1u << 20);
  EXPECT_FALSE(shipped.contains(1));
  EXPECT_LE(shipped.statistics().peak_used_bytes, 128u * 1024);
  cache<int, std::pmr::vector<std::pmr::string>> with_allocator(limit_bytes{128 * 1024});
  const auto also = with_allocator.get_or_load(
      1, [](int) { return std::pmr::vector<std::pmr::string>(4000, std::pmr::string(100, 'v')); });
  ASSERT_TRUE(also);
  EXPECT_EQ(also->size(), 4000u);
  EXPECT_EQ(also->back(), std::pmr::string(100, 'v'));
  with_allocator.check();
}

TEST_F(cache_expiry, after_write) {
  texts shipped(limit_entries{10}, {.expire_after_write = 10s, .clock = clock()});
  shipped.put(1, "a");
  time = 9999ms;
  EXPECT_TRUE(shipped.get(1));
  EXPECT_TRUE(shipped.contains(1));
  time = 10s;
  EXPECT_FALSE(shipped.contains(1));
  EXPECT_FALSE(shipped.get(1));
  EXPECT_EQ(shipped.size(), 0u) << "it went when it was met";
  shipped.put(1, "b");
  time = 19s;
  shipped.put(1, "c");
  time = 28s;
  EXPECT_EQ(*shipped.get(1), "c");
}

TEST_F(cache_expiry, after_access) {
  texts shipped(limit_entries{10}, {.expire_after_access = 10s, .clock = clock()});
  shipped.put(1, "a");
  shipped.put(2, "b");
  for (int i = 1; i <= 5; ++i) {
    time = 9s * i;
    EXPECT_TRUE(shipped.get(1));
  }
  EXPECT_FALSE(shipped.get(2));
  time = 55s;
  EXPECT_FALSE(shipped.get(1));
}

// Earlier by up to the jitter, and not all at once; never later.
TEST_F(cache_expiry, with_jitter) {
  texts shipped(limit_entries{2000}, {.expire_after_write = 100s, .jitter = 0.2, .clock = clock()});
  for (int key = 0; key < 1000; ++key) shipped.put(key, "v");
  time = 80s - 1ns;
  shipped.remove_expired();
  EXPECT_EQ(shipped.size(), 1000u);
  time = 90s;
  shipped.remove_expired();
  EXPECT_GT(shipped.size(), 400u);
  EXPECT_LT(shipped.size(), 600u);
  time = 100s;
  shipped.remove_expired();
  EXPECT_EQ(shipped.size(), 0u);
}

TEST_F(cache_expiry, of_absence_is_its_own) {
  texts shipped(limit_entries{10}, {.expire_after_write = 100s, .expire_absent = 5s, .clock = clock()});
  shipped.put(1, "a");
  shipped.put_absent(2);
  time = 5s;
  EXPECT_TRUE(shipped.get(1));
  EXPECT_FALSE(shipped.get(2).is_absent());
}

// Nobody asks for them any more; others that come push them out.
TEST_F(cache_expiry, is_found_in_passing) {
  texts shipped(limit_entries{1000}, {.expire_after_write = 10s, .clock = clock()});
  for (int key = 0; key < 500; ++key) shipped.put(key, "v");
  time = 20s;
  for (int key = 1000; key < 1400; ++key) shipped.put(key, "w");
  EXPECT_EQ(shipped.size(), 400u);
  EXPECT_EQ(shipped.statistics().expirations, 500u);
  EXPECT_EQ(shipped.statistics().evictions, 0u);
}

// A weak value is there for as long as somebody else keeps what it points to.
TEST(cache_weak, ends_with_what_it_points_to) {
  cache<int, std::weak_ptr<std::string>> shipped(limit_entries{100});
  std::vector<std::pair<int, removal_cause>> told;
  shipped.on_removal([&](int key, const auto*, removal_cause why) { told.emplace_back(key, why); });
  std::vector<std::shared_ptr<std::string>> kept;
  for (int key = 0; key < 50; ++key) {
    kept.push_back(std::make_shared<std::string>(std::to_string(key)));
    ASSERT_TRUE(shipped.put(key, kept.back()));
  }
  EXPECT_EQ(*shipped.get(7)->lock(), "7");
  kept[7].reset();
  EXPECT_FALSE(shipped.contains(7));
  EXPECT_FALSE(shipped.get(7));
  EXPECT_EQ(told, (std::vector<std::pair<int, removal_cause>>{{7, removal_cause::collected}}));
  kept.resize(20);
  shipped.remove_expired();
  EXPECT_EQ(shipped.size(), 19u);
  EXPECT_EQ(shipped.statistics().collections, 31u);
  EXPECT_EQ(*shipped.get(19)->lock(), "19");
  // Found in passing, too.
  kept.clear();
  for (int round = 0; round < 100; ++round) shipped.put(1000, {});
  EXPECT_EQ(shipped.size(), 1u);
}

TEST_F(cache_refresh, loads_anew_what_is_old_and_asked_for) {
  texts shipped(limit_entries{10}, {.expire_after_write = 100s, .refresh_after = 10s, .clock = clock()});
  int loads = 0;
  const auto load = [&](int) { return std::to_string(++loads); };
  EXPECT_EQ(*shipped.get_or_load(1, load), "1");
  time = 9s;
  EXPECT_EQ(*shipped.get_or_load(1, load), "1");
  time = 10s;
  EXPECT_EQ(*shipped.get_or_load(1, load), "2");
  EXPECT_EQ(shipped.statistics().refreshes, 1u);
  time = 25s;
  EXPECT_EQ(*shipped.get_or_load(1, [](int) -> std::string { throw std::runtime_error("down"); }), "2");
  EXPECT_EQ(*shipped.get_or_load(1, load), "3") << "tried again";
}

// With an executor the old value is given until the new one is there; what was put meanwhile is not overwritten.
TEST_F(cache_refresh, runs_where_it_is_told_to) {
  std::vector<std::function<void()>> tasks;
  texts shipped(limit_entries{10}, {.refresh_after = 10s,
                                    .executor = [&](std::function<void()> task) { tasks.push_back(std::move(task)); },
                                    .clock = clock()});
  int loads = 0;
  const auto load = [&](int) { return std::to_string(++loads); };
  shipped.get_or_load(1, load);
  time = 10s;
  EXPECT_EQ(*shipped.get_or_load(1, load), "1");
  EXPECT_EQ(*shipped.get_or_load(1, load), "1");
  ASSERT_EQ(tasks.size(), 1u) << "one refresh for all who ask";
  tasks[0]();
  tasks.clear();
  EXPECT_EQ(*shipped.get(1), "2");
  time = 30s;
  shipped.get_or_load(1, load);
  ASSERT_EQ(tasks.size(), 1u);
  shipped.put(1, "put");
  tasks[0]();
  tasks.clear();
  EXPECT_EQ(*shipped.get(1), "put");
}

}  // namespace
}  // namespace tenure::test
