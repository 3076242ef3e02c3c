// The depot of object_pool step by step: threads stop between the look at the head, the look at the link behind it and
// the exchange, while others take the same magazines away and put them back. Magazines are of two slots here, so nearly
// each object passes the depot. A slot that two threads are given, which is what ABA leads to, is seen by its stamp;
// one that is lost, or in two places, by the pool's own check().
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include <tenure/object_pool.hpp>

#include "core/base/yield_point.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

static_assert(detail::magazine_slots == 2);

// Objects are kept, so a free slot has the stamp of nobody.
struct word {
  std::uint64_t owner = 0;
};
struct keep {
  void operator()(word&) const noexcept {}
};
using pool_of_words = object_pool<word, keep>;

void work(pool_of_words& pool, std::uint64_t me, std::uint64_t seed) {
  std::mt19937_64 random(seed * 8 + me);
  std::vector<word*> mine;
  for (int wave = 0; wave < 3; ++wave) {
    for (std::uint64_t wanted = 3 + random() % 5; mine.size() < wanted;) {
      mine.push_back(pool.make());
      ASSERT_EQ(mine.back()->owner, 0u) << "seed " << seed;
      mine.back()->owner = me;
      core::yield_point();
    }
    for (std::uint64_t kept = random() % 2; mine.size() > kept;) {
      std::swap(mine[random() % mine.size()], mine.back());
      ASSERT_EQ(mine.back()->owner, me) << "seed " << seed;
      mine.back()->owner = 0;
      pool.destroy(mine.back());
      mine.pop_back();
    }
  }
  for (word* one : mine) {
    one->owner = 0;
    pool.destroy(one);
  }
}

TEST(object_pool_systematic, no_slot_is_given_to_two_threads) {
  for (std::uint64_t seed = 0; seed < test::rounds(1500u) && !HasFailure(); ++seed) {
    pool_of_words pool({.checks = resource_checks::off});
    systematic threads(seed);
    for (std::uint64_t number = 1; number <= 3; ++number) {
      threads.add([&pool, number, seed] { work(pool, number, seed); });
    }
    threads.run();
    if (HasFailure()) break;
    pool.check();
    ASSERT_EQ(pool.live_objects(), 0u) << "seed " << seed;
  }
}

// Those that end give their magazines up while others take.
TEST(object_pool_systematic, objects_go_from_thread_to_thread) {
  for (std::uint64_t seed = 0; seed < test::rounds(500u) && !HasFailure(); ++seed) {
    pool_of_words pool({.checks = resource_checks::off});
    std::vector<word*> passed;
    systematic threads(seed);
    threads.add([&] {
      for (int i = 0; i < 12; ++i) {
        passed.push_back(pool.make());
        core::yield_point();
      }
    });
    for (std::uint64_t number = 2; number <= 3; ++number) {
      threads.add([&pool, &passed, number, seed] {
        for (int i = 0; i < 10; ++i) {
          core::yield_point();
          if (passed.empty()) continue;
          word* const one = passed.back();
          passed.pop_back();
          pool.destroy(one);
        }
        work(pool, number, seed);
      });
    }
    threads.run();
    for (word* one : passed) pool.destroy(one);
    pool.check();
    ASSERT_EQ(pool.live_objects(), 0u) << "seed " << seed;
  }
}

// Slots whose pages are given back between any two steps of those that take them: of a thread that has read the link of
// such a slot, and sleeps, too. An object fills a page, so that each run of free ones is closed.
struct page {
  std::uint64_t owner = 0;
  std::uint64_t rest[511] = {};
};
struct keep_page {
  void operator()(page&) const noexcept {}
};
TEST(object_pool_systematic, pages_go_back_between_any_two_steps) {
  std::uint64_t given_back = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(600u) && !HasFailure(); ++seed) {
    object_pool<page, keep_page> pool({.checks = resource_checks::off});
    systematic threads(seed);
    for (std::uint64_t number = 1; number <= 2; ++number) {
      threads.add([&pool, number, seed] {
        std::mt19937_64 random(seed * 8 + number);
        std::vector<page*> mine;
        std::vector<object_pool<page, keep_page>::weak_handle> gone;
        for (int wave = 0; wave < 3; ++wave) {
          for (std::uint64_t wanted = 3 + random() % 5; mine.size() < wanted;) {
            mine.push_back(pool.make());
            ASSERT_EQ(mine.back()->owner, 0u) << "seed " << seed;
            mine.back()->owner = number;
            core::yield_point();
            for (const auto& one : gone) ASSERT_EQ(one.get(), nullptr) << "seed " << seed;
          }
          for (std::uint64_t kept = random() % 2; mine.size() > kept;) {
            ASSERT_EQ(mine.back()->owner, number) << "seed " << seed;
            mine.back()->owner = 0;
            gone.push_back(pool.weak(mine.back()));
            pool.destroy(mine.back());
            mine.pop_back();
          }
        }
        for (page* one : mine) {
          one->owner = 0;
          pool.destroy(one);
        }
      });
    }
    threads.add([&] {
      for (int i = 0; i < 6; ++i) {
        given_back += pool.trim();
        core::yield_point();
      }
    });
    threads.run();
    if (HasFailure()) break;
    pool.check();
    ASSERT_EQ(pool.live_objects(), 0u) << "seed " << seed;
  }
  EXPECT_GT(given_back, 0u);
}

}  // namespace
