// brc among threads: who ends what, and when; threads that end before their objects; fork; counts at their limits.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <tenure/tenure.h>
#include <unistd.h>
#include <tenure/brc.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "../../support/dice.h"

namespace tenure {
namespace {

struct stamped {
  explicit stamped(std::atomic<int>& of) : alive(of) { ++alive; }
  ~stamped() {
    stamp = 0;
    --alive;
    ended_by.store(std::this_thread::get_id());
  }
  std::atomic<int>& alive;
  std::uint64_t stamp = 0x1234;
  inline static std::atomic<std::thread::id> ended_by;
};

void elsewhere(const std::function<void()>& body) { std::thread(body).join(); }

TEST(Brc, TheOwnerEndsWhatAnotherThreadLetsGoOfLast) {
  std::atomic<int> alive = 0;
  auto one = make_brc<stamped>(alive);
  weak_brc<stamped> seen = one;
  elsewhere([&] { brc<stamped>(std::move(one)).reset(); });
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(settle_brc(), 1u);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(stamped::ended_by.load(), std::this_thread::get_id());
  EXPECT_TRUE(seen.expired());
  EXPECT_EQ(settle_brc(), 0u);
}

TEST(Brc, MakingAnotherComesByToo) {
  std::atomic<int> alive = 0;
  auto one = make_brc<stamped>(alive);
  elsewhere([&] { one.reset(); });
  const auto another = make_brc<stamped>(alive);
  EXPECT_EQ(alive, 1);
}

TEST(Brc, AnotherThreadEndsWhatItCountsLast) {
  std::atomic<int> alive = 0;
  auto one = make_brc<stamped>(alive);
  elsewhere([&] {
    const brc<stamped> mine = one;
    std::thread([&] { one.reset(); }).join();
    // The owner's reference has been let go of by a third thread: the owner has to come by.
    EXPECT_EQ(alive, 1);
  });
  settle_brc();
  EXPECT_EQ(alive, 0);
  one = make_brc<stamped>(alive);
  brc<stamped> theirs;
  elsewhere([&] { theirs = one; });
  one.reset();  // by the owner: what is left is with others
  EXPECT_EQ(alive, 1);
  elsewhere([&] { theirs.reset(); });
  EXPECT_EQ(alive, 0);
}

TEST(Brc, WhatWaitsInTheQueueCanBeLocked) {
  std::atomic<int> alive = 0;
  auto one = make_brc<stamped>(alive);
  const weak_brc<stamped> seen = one;
  elsewhere([&] { one.reset(); });
  auto again = seen.lock();
  ASSERT_TRUE(again);
  settle_brc();
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(again->stamp, 0x1234u);
  EXPECT_EQ(again.use_count(), 1);
  again.reset();
  EXPECT_EQ(alive, 0);
}

TEST(Brc, ObjectsOutliveTheirOwners) {
  std::atomic<int> alive = 0;
  std::vector<brc<stamped>> left;
  elsewhere([&] {
    for (int i = 0; i < 10; ++i) left.push_back(make_brc<stamped>(alive));
  });
  auto copies = left;
  left.clear();
  EXPECT_EQ(alive, 10);
  copies.clear();
  EXPECT_EQ(alive, 0) << "nobody owns them, so whoever lets go ends them";
}

TEST(Brc, AThreadThatEndsSettlesWhatOthersLetGoOf) {
  std::atomic<int> alive = 0;
  elsewhere([&] {
    auto one = make_brc<stamped>(alive);
    elsewhere([&] { one.reset(); });
    EXPECT_EQ(alive, 1);
  });
  EXPECT_EQ(alive, 0);
}

// Threads that come after others have their records, and with them what they have left.
TEST(Brc, ThreadsTakeOverTheObjectsOfThoseBefore) {
  std::atomic<int> alive = 0;
  std::vector<brc<stamped>> passed;
  for (int round = 0; round < 200; ++round) {
    elsewhere([&] {
      std::vector<brc<stamped>> mine = passed;
      passed.push_back(make_brc<stamped>(alive));
      if (round % 3 == 0) passed.erase(passed.begin());
      mine.clear();
    });
  }
  EXPECT_EQ(alive, static_cast<int>(passed.size()));
  for (const auto& one : passed) EXPECT_EQ(one->stamp, 0x1234u);
  for (const auto& one : passed) EXPECT_EQ(one.use_count(), 1);
  passed.clear();
  EXPECT_EQ(alive, 0);
}

TEST(Brc, ThreadLocalReferencesEndWithTheirThread) {
  static std::atomic<int> alive = 0;
  elsewhere([] {
    thread_local brc<stamped> kept;
    kept = make_brc<stamped>(alive);
  });
  EXPECT_EQ(alive, 0);
}

TEST(Brc, AChildOfForkHasWhatOtherThreadsOwned) {
  std::atomic<int> alive = 0;
  std::atomic<bool> made = false;
  std::atomic<bool> done = false;
  brc<stamped> one;
  std::thread owner([&] {
    one = make_brc<stamped>(alive);
    made = true;
    while (!done) std::this_thread::yield();
  });
  while (!made) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    one.reset();
    _exit(alive == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  done = true;
  owner.join();
  one.reset();
  EXPECT_EQ(alive, 0);
}

TEST(Brc, CountsEndInAMessageAtTheirLimit) {
  detail::biased_counts counts;
  const auto set = [&](std::size_t offset, auto value) {
    std::memcpy(reinterpret_cast<std::byte*>(&counts) + offset, &value, sizeof value);
  };
  set(0, std::uint32_t{0x0fff'ffff});
  EXPECT_DEATH(counts.add_strong(), "more references than 268435455: 0x");
  set(0, std::uint32_t{1});
  set(8, std::uint64_t{1} << 32 | 0x7fff'fffc);
  EXPECT_DEATH(elsewhere([&] { counts.add_strong(); }), "more references than 268435455");
  set(8, std::uint64_t{0x7fff'ffff} << 32 | 0x4000'0000);
  EXPECT_DEATH(counts.add_weak(), "more references than 2147483647");
}

// The owner makes references without end, and another thread lets go of them: its count falls as the owner's rises.
TEST(Brc, CountsThatDriftApartAreMergedBeforeTheyRunOver) {
  detail::biased_counts counts;
  constexpr std::uint32_t most = 0x0fff'ffff;
  const std::uint32_t owned = most - 50;
  // As it is after so many of these: in the owner's queue, with two references left and the queue's.
  const std::uint64_t word = std::uint64_t{1} << 32 | ((1u << 30) - 4 * (owned - 3) + 1);
  std::memcpy(static_cast<void*>(&counts), &owned, sizeof owned);
  std::memcpy(reinterpret_cast<std::byte*>(&counts) + 8, &word, sizeof word);
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(counts.strong(), 3u);
    for (int i = 0; i < 100; ++i) counts.add_strong();
    EXPECT_EQ(counts.strong(), 103u);
    elsewhere([&] {
      for (int i = 0; i < 100; ++i) EXPECT_FALSE(counts.release_strong());
    });
  }
  EXPECT_FALSE(counts.has_ended());
  EXPECT_FALSE(counts.release_strong());
  EXPECT_FALSE(counts.release_strong());
  EXPECT_TRUE(counts.release_strong());
  EXPECT_TRUE(counts.has_ended());
  EXPECT_TRUE(counts.release_weak());
}

// With what others count, too: the sum does not run into the weak references.
TEST(Brc, ASumBeyondTheLimitSaturates) {
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
  const auto body = [] {
    detail::biased_counts counts;
    const std::uint32_t owned = 0x0fff'ffff;
    const std::uint64_t word = std::uint64_t{2} << 32 | ((1u << 30) + 4 * (owned - 1'000'000));
    std::memcpy(static_cast<void*>(&counts), &owned, sizeof owned);
    std::memcpy(reinterpret_cast<std::byte*>(&counts) + 8, &word, sizeof word);
    for (int i = 0; i < 1000; ++i) counts.add_strong();
    for (int i = 0; i < 5000; ++i) {
      if (counts.release_strong() || !counts.try_add_strong() || counts.release_strong()) std::exit(1);
    }
    if (counts.has_ended() || counts.release_weak() || !counts.release_weak()) std::exit(2);
    std::exit(0);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "more references than 268435455");
  ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
}

// Threads make, copy, exchange, lock and let go of; some of them end and come again.
TEST(BrcStress, ObjectsEndOnceAndNeverWhileTheyAreUsed) {
  std::atomic<int> alive = 0;
  std::atomic<int> clashes = 0;
  struct place {
    std::mutex lock;
    brc<stamped> strong;
    weak_brc<stamped> weak;
  };
  {
    std::array<place, 4> places;
    for (std::uint32_t round = 0; round < 10; ++round) {
      std::vector<std::thread> threads;
      for (std::uint32_t number = 0; number < 4; ++number) {
        threads.emplace_back([&, number] {
          test::dice random(round * 4 + number);
          std::vector<brc<stamped>> kept(4);
          const std::uint32_t steps = 1500 + 500 * number;
          for (std::uint32_t i = 0; i < steps; ++i) {
            place& from = places[random.below(4)];
            brc<stamped> mine;
            weak_brc<stamped> seen;
            {
              const std::lock_guard held(from.lock);
              if (random.one_in(4)) {
                from.strong = make_brc<stamped>(alive);
                from.weak = from.strong;
              }
              if (random.one_in(2)) mine = from.strong;
              seen = from.weak;
            }
            if (!mine) mine = seen.lock();
            if (mine && mine->stamp != 0x1234) ++clashes;
            kept[random.below(4)] = mine;
            if (random.one_in(16)) settle_brc();
            place& to = places[random.below(4)];
            const std::lock_guard held(to.lock);
            swap(to.strong, mine);
          }
        });
      }
      for (std::thread& one : threads) one.join();
    }
  }
  settle_brc();
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace tenure
