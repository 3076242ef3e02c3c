// Threads that make, hand on and end objects: each object carries a stamp that only its owner may find changed, so a
// slot that two threads were given at once (what ABA leads to) is seen at its first use.
#include <gtest/gtest.h>
#include <tenure/object_pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "core/base/sanitizers.h"

namespace tenure {
namespace {

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
constexpr std::uint64_t usual_cycles = 200'000;
#else
constexpr std::uint64_t usual_cycles = 3'000'000;
#endif

// TENURE_TEST_STRESS_CYCLES=100000000 is what is run by hand.
std::uint64_t cycles() {
  const char* text = std::getenv("TENURE_TEST_STRESS_CYCLES");
  return text == nullptr ? usual_cycles : std::strtoull(text, nullptr, 10);
}

std::atomic<std::uint64_t> clashes = 0;

// What is left in a free slot is what its last owner left there: objects are kept.
struct word {
  std::uint64_t value = 0;
};
struct keep {
  void operator()(word&) const noexcept {}
};
using word_pool = object_pool<word, keep>;

// The object's word is the stamp: 0 in a free slot, the thread's number in one that is used.
void claim(std::uint64_t* word, std::uint64_t by) {
  if (__atomic_exchange_n(word, by, __ATOMIC_RELAXED) != 0) ++clashes;
}
void unclaim(std::uint64_t* word, std::uint64_t by) {
  if (__atomic_exchange_n(word, 0, __ATOMIC_RELAXED) != by) ++clashes;
}

// Pages go back while others take and give: no slot is given twice, none is lost, and no weak handle finds another's.
TEST(ObjectPoolStress, MayBeTrimmedMeanwhile) {
  constexpr int threads = 3;
  constexpr std::size_t held = 6000;
  struct wide {
    std::uint64_t value = 0;
    std::array<std::uint64_t, 31> rest{};
  };
  struct keep_wide {
    void operator()(wide&) const noexcept {}
  };
  object_pool<wide, keep_wide> pool({.name = "trimmed"});
  std::atomic<int> working = threads;
  std::atomic<std::uint64_t> given_back = 0;
  std::vector<std::thread> all;
  for (int number = 1; number <= threads; ++number) {
    all.emplace_back([&, number] {
      const auto id = static_cast<std::uint64_t>(number);
      std::vector<wide*> mine;
      std::vector<object_pool<wide, keep_wide>::weak_handle> gone;
      for (std::uint64_t wave = 0; wave < cycles() / threads / held + 2; ++wave) {
        while (mine.size() < held) {
          mine.push_back(pool.make());
          claim(&mine.back()->value, id);
        }
        for (const auto& one : gone) EXPECT_EQ(one.get(), nullptr);
        gone.clear();
        for (wide* one : mine) {
          if (gone.size() < 100) gone.push_back(pool.weak(one));
          unclaim(&one->value, id);
          pool.destroy(one);
        }
        mine.clear();
      }
      --working;
    });
  }
  all.emplace_back([&] {
    do {
      given_back += pool.trim();
      std::this_thread::yield();
    } while (working > 0);
  });
  for (std::thread& one : all) one.join();
  EXPECT_EQ(clashes, 0u);
  given_back += pool.trim();
  EXPECT_GT(given_back, 0u);
  EXPECT_EQ(pool.live_objects(), 0u);
  pool.check();
}

TEST(ObjectPoolStress, NoSlotIsGivenToTwoThreads) {
  constexpr int threads = 4;
  constexpr std::size_t held = 200;  // more than a magazine: the depot is busy
  word_pool pool({.name = "stress"});
  std::vector<std::thread> all;
  for (int number = 1; number <= threads; ++number) {
    all.emplace_back([&, number] {
      std::mt19937_64 dice(static_cast<std::uint64_t>(number));
      std::vector<word*> mine;
      const auto id = static_cast<std::uint64_t>(number);
      for (std::uint64_t cycle = 0; cycle < cycles() / threads; ++cycle) {
        // In waves, so that magazines pass through the depot all the time.
        const bool grows = mine.empty() || (mine.size() < held && (cycle / held) % 2 == 0);
        if (grows) {
          mine.push_back(pool.make());
          claim(&mine.back()->value, id);
        } else {
          std::swap(mine[dice() % mine.size()], mine.back());
          unclaim(&mine.back()->value, id);
          pool.destroy(mine.back());
          mine.pop_back();
        }
      }
      for (auto* one : mine) {
        unclaim(&one->value, id);
        pool.destroy(one);
      }
    });
  }
  for (std::thread& one : all) one.join();
  EXPECT_EQ(clashes, 0u);
  EXPECT_EQ(pool.live_objects(), 0u);
  pool.check();
}

TEST(ObjectPoolStress, ObjectsEndOnOtherThreads) {
  word_pool pool({.name = "handed on"});
  constexpr int pairs = 2;
  std::vector<std::thread> all;
  struct belt {
    std::mutex lock;
    std::vector<word_pool::handle> waiting;
    std::atomic<bool> done = false;
  };
  std::array<belt, pairs> belts;
  std::atomic<std::uint64_t> sum = 0;
  const std::uint64_t each = cycles() / 20;
  for (belt& one : belts) {
    all.emplace_back([&, each] {
      for (std::uint64_t i = 1; i <= each; ++i) {
        auto made = pool.acquire();
        made->value = i;
        const std::lock_guard held(one.lock);
        one.waiting.push_back(std::move(made));
      }
      one.done = true;
    });
    all.emplace_back([&] {
      for (bool last = false; !last;) {
        last = one.done;
        std::vector<word_pool::handle> taken;
        {
          const std::lock_guard held(one.lock);
          taken.swap(one.waiting);
        }
        for (const word_pool::handle& each_taken : taken) sum += each_taken->value;
      }
    });
  }
  for (std::thread& one : all) one.join();
  EXPECT_EQ(sum, pairs * each * (each + 1) / 2);
  EXPECT_EQ(pool.live_objects(), 0u);
  pool.check();
}

// Threads that come and go leave what they had to others: memory is bounded by what is in use at once.
TEST(ObjectPoolStress, ThreadsLeaveTheirMagazinesBehind) {
  word_pool pool({.name = "come and go"});
  for (int round = 0; round < 300; ++round) {
    std::thread([&] {
      std::vector<word_pool::handle> some;
      for (std::uint64_t i = 0; i < 150; ++i) some.push_back(pool.acquire());
    }).join();
  }
  pool.check();
  EXPECT_LE(pool.statistics().held_bytes, 1000u * 64);
}

// Pools that come and go while threads use others, so that ids change hands.
TEST(ObjectPoolStress, PoolsComeAndGo) {
  std::atomic<bool> done = false;
  word_pool lasting({.name = "lasting"});
  std::vector<std::thread> all;
  for (int i = 0; i < 2; ++i) {
    all.emplace_back([&] {
      while (!done) {
        word_pool passing({.name = "passing"});
        std::vector<word_pool::handle> some;
        for (std::uint64_t n = 0; n < 100; ++n) {
          some.push_back(passing.acquire());
          some.push_back(lasting.acquire());
        }
      }
    });
  }
  for (int i = 0; i < 200; ++i) static_cast<void>(lasting.statistics());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  done = true;
  for (std::thread& one : all) one.join();
  EXPECT_EQ(lasting.live_objects(), 0u);
  lasting.check();
}

}  // namespace
}  // namespace tenure
