// What each adaptor adds; that all of them are resources is told by the conformance suite.
#include <gtest/gtest.h>
#include <tenure/adaptors.hpp>
#include <tenure/arena.hpp>
#include <tenure/fixed_pool.hpp>

#include <algorithm>
#include <list>
#include <memory_resource>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "unit/resource/resource_support.h"

namespace tenure {
namespace {

using testing::counting_upstream;

TEST(LimitingAdaptor, GivesExactlyItsLimitAndPassesOnNothingMore) {
  counting_upstream upstream;
  limiting_resource_adaptor limited({.name = "limited", .limit_bytes = 1000, .upstream = &upstream});
  void* first = limited.allocate(600);
  EXPECT_EQ(limited.remaining_bytes(), 400u);
  EXPECT_THROW(static_cast<void>(limited.allocate(401)), std::bad_alloc);
  EXPECT_EQ(upstream.allocations(), 1u);
  void* second = limited.allocate(400);
  EXPECT_EQ(limited.remaining_bytes(), 0u);
  limited.deallocate(first, 600);
  EXPECT_EQ(limited.remaining_bytes(), 600u);
  limited.set_limits({.hard_bytes = 100});
  EXPECT_EQ(limited.remaining_bytes(), 0u);
  limited.deallocate(second, 400);
  EXPECT_EQ(limited.statistics().refusals, 1u);
}

TEST(LimitingAdaptor, AsksShrinkersBeforeItRefuses) {
  struct cached_blocks {
    limiting_resource_adaptor memory{{.name = "limited", .limit_bytes = 1000}};
    std::vector<void*> cached;
    std::uint64_t evict() {
      if (cached.empty()) return 0;
      memory.deallocate(cached.back(), 100);
      cached.pop_back();
      return 100;
    }
  } all;
  for (int i = 0; i < 10; ++i) all.cached.push_back(all.memory.allocate(100));
  const tenure_shrinker registered = tenure_shrinker_register(
      all.memory.account(), 0,
      [](void* of, const tenure_pressure*) { return static_cast<cached_blocks*>(of)->evict(); }, &all);
  ASSERT_NE(registered, 0u);
  void* block = all.memory.allocate(300);
  EXPECT_EQ(all.cached.size(), 7u);
  all.memory.deallocate(block, 300);
  tenure_shrinker_unregister(registered);
  while (all.evict() != 0) {
  }
}

TEST(StatisticsAdaptor, CountsScopesWithinOneAnother) {
  statistics_resource_adaptor counted({.name = "counted"});
  void* kept = counted.allocate(100);
  {
    statistics_resource_adaptor::scope outer(counted);
    void* first = counted.allocate(30);
    counted.deallocate(first, 30);
    {
      statistics_resource_adaptor::scope inner(counted);
      void* a = counted.allocate(50);
      void* b = counted.allocate(20);
      counted.deallocate(a, 50);
      counted.deallocate(kept, 100);
      EXPECT_EQ(inner.counters().bytes.value, -80);
      EXPECT_EQ(inner.counters().bytes.peak, 70);
      EXPECT_EQ(inner.counters().bytes.total, 70);
      EXPECT_EQ(inner.counters().blocks.value, 0);
      EXPECT_EQ(inner.counters().blocks.peak, 2);
      kept = b;
    }
    EXPECT_EQ(outer.counters().bytes.value, -80);
    EXPECT_EQ(outer.counters().bytes.peak, 70);
    EXPECT_EQ(outer.counters().bytes.total, 100);
    EXPECT_EQ(outer.counters().blocks.total, 3);
  }
  EXPECT_EQ(counted.counters().bytes.value, 20);
  EXPECT_EQ(counted.counters().bytes.peak, 170);
  EXPECT_EQ(counted.counters().bytes.total, 200);
  EXPECT_THROW(static_cast<void>(counted.pop_counters()), std::logic_error);
  counted.set_limits({.hard_bytes = 100});
  EXPECT_THROW(static_cast<void>(counted.allocate(81)), std::bad_alloc);
  EXPECT_EQ(counted.counters().refusals, 1);
  counted.deallocate(kept, 20);
}

TEST(StatisticsAdaptor, TellsAnOuterScopeWhatItsInnerOnesSee) {
  statistics_resource_adaptor counted({.name = "counted"});
  void* first = counted.allocate(30);
  const auto& of_all = counted.counters();
  statistics_resource_adaptor::scope outer(counted);
  void* second = counted.allocate(100);
  {
    const statistics_resource_adaptor::scope middle(counted);
    void* third = counted.allocate(20);
    const statistics_resource_adaptor::scope inner(counted);
    counted.deallocate(counted.allocate(50), 50);
    counted.deallocate(third, 20);
    EXPECT_EQ(inner.counters().bytes.value, -20);
    EXPECT_EQ(middle.counters().bytes.value, 0);
    EXPECT_EQ(middle.counters().bytes.peak, 70);
    EXPECT_EQ(middle.counters().blocks.total, 2);
    EXPECT_EQ(outer.counters().bytes.value, 100);
    EXPECT_EQ(outer.counters().bytes.peak, 170);
    EXPECT_EQ(outer.counters().blocks.peak, 3);
    EXPECT_EQ(counted.counters().bytes.total, 50);
  }
  EXPECT_EQ(outer.counters().bytes.peak, 170);
  EXPECT_EQ(of_all.bytes.value, 30);  // a copy, whatever was pushed since
  counted.deallocate(first, 30);
  counted.deallocate(second, 100);
}

TEST(FailureAdaptor, FailsTheRequestsOfItsPlan) {
  failure_injecting_resource_adaptor failing({.name = "failing", .plan = {.nth = 3}});
  const auto failed = [&](std::size_t bytes) {
    try {
      failing.deallocate(failing.allocate(bytes), bytes);
      return false;
    } catch (const std::bad_alloc&) {
      return true;
    }
  };
  std::vector<bool> seen;
  for (int i = 0; i < 5; ++i) seen.push_back(failed(8));
  EXPECT_EQ(seen, (std::vector<bool>{false, false, true, false, false}));
  EXPECT_EQ(failing.requests(), 5u);
  EXPECT_EQ(failing.failures(), 1u);
  failing.set_plan({.nth = 2, .from_nth_on = true});
  EXPECT_FALSE(failed(8));
  EXPECT_TRUE(failed(8));
  EXPECT_TRUE(failed(8));
  failing.set_plan({.from_bytes = 100});
  EXPECT_FALSE(failed(99));
  EXPECT_TRUE(failed(100));
  EXPECT_TRUE(failed(5000));
  failing.set_plan({});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(failed(8));
  EXPECT_THROW(failing.set_plan({.probability = 1.5}), std::invalid_argument);
}

TEST(FailureAdaptor, DrawsTheSameFromASeed) {
  const auto draw = [](std::uint64_t seed) {
    failure_injecting_resource_adaptor failing({.plan = {.probability = 0.1, .seed = seed}});
    std::vector<bool> seen;
    for (int i = 0; i < 10'000; ++i) {
      try {
        failing.deallocate(failing.allocate(8), 8);
        seen.push_back(false);
      } catch (const std::bad_alloc&) {
        seen.push_back(true);
      }
    }
    return seen;
  };
  const std::vector<bool> first = draw(7);
  EXPECT_EQ(first, draw(7));
  EXPECT_NE(first, draw(8));
  const auto failures = std::count(first.begin(), first.end(), true);
  EXPECT_GT(failures, 850);  // five standard deviations of 30
  EXPECT_LT(failures, 1150);
}

TEST(FailureAdaptor, FindsEveryRequestOfAFunction) {
  failure_injecting_resource_adaptor failing({.name = "under test"});
  std::uint64_t n = 1;
  for (;; ++n) {
    failing.set_plan({.nth = n});
    try {
      const std::pmr::list<int> numbers({1, 2, 3, 4}, &failing);
      if (failing.failures() == 0) break;
    } catch (const std::bad_alloc&) {
    }
    ASSERT_EQ(failing.statistics().used_blocks, 0u);
  }
  EXPECT_EQ(n, 5u);
}

TEST(AlignedAdaptor, LeavesNoCacheLineToTwoBlocks) {
  for (const std::size_t upstream_alignment : {std::size_t{16}, std::size_t{4096}}) {
    aligned_resource_adaptor lines({.alignment = 64, .upstream_alignment = upstream_alignment});
    std::set<std::uintptr_t> used;
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (std::size_t bytes = 1; bytes < 300; bytes += 7) {
      void* block = lines.allocate(bytes, 1);
      const auto begin = reinterpret_cast<std::uintptr_t>(block);
      ASSERT_EQ(begin % 64, 0u);
      for (std::uintptr_t at = begin / 64; at <= (begin + bytes - 1) / 64; ++at) ASSERT_TRUE(used.insert(at).second);
      blocks.emplace_back(block, bytes);
    }
    for (const auto& [block, bytes] : blocks) lines.deallocate(block, bytes, 1);
    lines.check();
    EXPECT_EQ(lines.statistics().used_bytes, 0u);
  }
}

TEST(AlignedAdaptor, LeavesSmallRequestsAsTheyAre) {
  counting_upstream upstream;
  aligned_resource_adaptor pages({.alignment = 4096, .from_bytes = 1000, .upstream = &upstream});
  void* small = pages.allocate(999, 8);
  EXPECT_EQ(upstream.live_bytes(), 999u);
  void* large = pages.allocate(1000, 8);
  EXPECT_EQ(upstream.live_bytes(), 999u + 4096u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large) % 4096, 0u);
  pages.deallocate(small, 999, 8);
  pages.deallocate(large, 1000, 8);
  EXPECT_EQ(upstream.live_blocks(), 0u);
  EXPECT_THROW(aligned_resource_adaptor({.alignment = 48}), std::invalid_argument);
}

TEST(SynchronizedAdaptor, ServesThreadsFromOneUpstream) {
  fixed_pool pool({.name = "pool", .block_bytes = 64, .checks = resource_checks::off});
  synchronized_resource_adaptor shared({.name = "shared", .upstream = &pool});
  constexpr int rounds = 20'000;
  std::vector<std::thread> threads;
  for (unsigned char t = 0; t < 4; ++t) {
    threads.emplace_back([&shared, t] {
      std::vector<testing::filled_block> mine;
      for (int i = 0; i < rounds; ++i) {
        if (mine.size() < 20) {
          mine.push_back(testing::filled_block::make(shared, 64, 16, t));
          continue;
        }
        ASSERT_TRUE(mine.front().is_intact());
        shared.deallocate(mine.front().start, 64, 16);
        mine.erase(mine.begin());
        if (i % 1000 == 0) shared.trim();
      }
      for (const auto& one : mine) shared.deallocate(one.start, 64, 16);
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(shared.statistics().used_blocks, 0u);
  EXPECT_EQ(pool.statistics().used_blocks, 0u);
  shared.check();
  pool.check();
}

TEST(FallbackAdaptor, GivesEachBlockBackToWhereItCameFrom) {
  counting_upstream first_upstream, second;
  fixed_pool pool({.name = "first", .block_bytes = 64, .limit_blocks = 10, .upstream = &first_upstream});
  fallback_resource_adaptor both({.name = "both", .upstream = &pool, .second = &second});
  std::vector<void*> blocks;
  for (int i = 0; i < 25; ++i) blocks.push_back(both.allocate(64));
  EXPECT_EQ(pool.statistics().used_blocks, 10u);
  EXPECT_EQ(second.live_blocks(), 15u);
  EXPECT_EQ(both.fallbacks(), 15u);
  EXPECT_EQ(both.second_blocks(), 15u);
  for (void* one : blocks) EXPECT_TRUE(both.owns(one));
  EXPECT_EQ(testing::live_ranges(both).size(), 25u);
  std::swap(blocks[3], blocks[20]);
  for (void* one : blocks) both.deallocate(one, 64);
  EXPECT_EQ(pool.statistics().used_blocks, 0u);
  EXPECT_EQ(second.live_blocks(), 0u);  // and it was asked for nothing that is not its own
  second.refuse_from_now(true);
  EXPECT_THROW(static_cast<void>(both.allocate(65)), std::bad_alloc);
  both.check();
}

// Gives one place again and again, as something does that takes all of its blocks back at once.
class one_place final : public std::pmr::memory_resource {
 public:
  explicit one_place(void* place) : place_(place) {}
  bool refuses = false;
  int releases = 0;

 private:
  void* do_allocate(std::size_t, std::size_t) override { return refuses ? throw std::bad_alloc() : place_; }
  void do_deallocate(void*, std::size_t, std::size_t) override { ++releases; }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  void* place_;
};

TEST(FallbackAdaptor, ForgetsWhatTheSecondTookBackAtOnce) {
  alignas(16) char place[64];
  one_place first(place), second(place);
  fallback_resource_adaptor both({.name = "both", .upstream = &first, .second = &second});
  first.refuses = true;
  static_cast<void>(both.allocate(16));
  static_cast<void>(both.allocate(48));
  EXPECT_EQ(testing::live_ranges(both).begin()->second, 48u);
  first.refuses = false;
  void* block = both.allocate(32);
  EXPECT_EQ(both.second_blocks(), 0u);
  both.deallocate(block, 32);
  EXPECT_EQ(first.releases, 1);
  EXPECT_EQ(second.releases, 0);
}

[[gnu::noinline]] void* allocate_here(std::pmr::memory_resource& from) { return from.allocate(48, 16); }
[[gnu::noinline]] void release_there(std::pmr::memory_resource& to, void* block) { to.deallocate(block, 48, 16); }

TEST(TrackingAdaptor, EndsMisuseInAMessageWithBothSites) {
  tracking_resource_adaptor tracked({.name = "sessions"});
  tracking_resource_adaptor other({.name = "others"});
  void* block = allocate_here(tracked);
  int elsewhere[8] = {};
  EXPECT_DEATH(
      release_there(other, block),
      "release of a block that tracking adaptor \"sessions\" has handed out: 0x.*a block of 48 bytes, tracking "
      "adaptor \"others\"(.|\n)*allocated there\n(.|\n)*at 0x(.|\n)*released here\n(.|\n)*at 0x");
  EXPECT_DEATH(release_there(tracked, elsewhere), "release of what it has not handed out");
  EXPECT_DEATH(release_there(tracked, static_cast<char*>(block) + 8), "release of an interior pointer");
  EXPECT_DEATH(tracked.deallocate(block, 40, 16), "release with a size or alignment that is not this block's");
  EXPECT_DEATH(tracked.deallocate(block, 48, 8), "release with a size or alignment that is not this block's");
  release_there(tracked, block);
  EXPECT_DEATH(release_there(tracked, block),
               "double release: 0x.*a block of 48 bytes, tracking adaptor \"sessions\"(.|\n)*allocated\n(.|\n)*at 0x"
               "(.|\n)*released first\n(.|\n)*at 0x(.|\n)*released again\n(.|\n)*at 0x");
}

TEST(TrackingAdaptor, TellsWhatIsLiveBySite) {
  tracking_resource_adaptor tracked({.name = "sessions"});
  std::vector<void*> here;
  for (int i = 0; i < 5; ++i) here.push_back(allocate_here(tracked));
  void* large = tracked.allocate(1000);
  const auto sites = tracked.live_by_site();
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[0].bytes, 1000u);
  EXPECT_EQ(sites[0].blocks, 1u);
  EXPECT_EQ(sites[1].bytes, 5u * 48u);
  EXPECT_EQ(sites[1].blocks, 5u);
  EXPECT_TRUE(tracked.owns(static_cast<char*>(large) + 999));
  EXPECT_FALSE(tracked.owns(&here));
  EXPECT_GT(tracked.allocated_at(here[2]).frame_count, 0u);
  EXPECT_EQ(tracked.allocated_at(&here).frame_count, 0u);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(tracked.report_live(), 6u);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("5 blocks in use, 240 bytes, allocated at one place, tracking adaptor \"sessions\""),
            std::string::npos)
      << text;
  for (void* one : here) release_there(tracked, one);
  tracked.deallocate(large, 1000);
  EXPECT_TRUE(tracked.live_by_site().empty());
}

TEST(TrackingAdaptor, GivesUpWhatAnArenaTookBackAtOnce) {
  arena memory({.name = "arena", .checks = resource_checks::off});
  tracking_resource_adaptor tracked({.name = "tracked", .upstream = &memory});
  void* first = tracked.allocate(48);
  memory.reset();
  void* again = tracked.allocate(32);
  ASSERT_EQ(first, again);
  tracked.check();
  EXPECT_EQ(tracked.statistics().used_bytes, 32u);
  EXPECT_EQ(tracked.statistics().held_bytes, 32u);
  tracked.deallocate(again, 32);
  EXPECT_EQ(tracked.statistics().used_blocks, 0u);
}

TEST(TrackingAdaptor, SaysWhatIsLeftAtItsEndAndGivesItBackOnRequest) {
  counting_upstream upstream;
  ::testing::internal::CaptureStderr();
  {
    tracking_resource_adaptor tracked({.name = "left", .gives_back_at_end = true, .upstream = &upstream});
    static_cast<void>(allocate_here(tracked));
    static_cast<void>(allocate_here(tracked));
    release_there(tracked, allocate_here(tracked));
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("its end with 2 blocks in use, the first of them: 0x"), std::string::npos) << text;
  EXPECT_NE(text.find("tracking adaptor \"left\""), std::string::npos) << text;
  EXPECT_EQ(upstream.live_blocks(), 0u);
}

}  // namespace
}  // namespace tenure
