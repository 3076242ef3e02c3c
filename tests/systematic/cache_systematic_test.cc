// The cache step by step: readers stop between the look at a slot, the hazard and the second look, and while they let
// go; others take entries out, move them up in the table, and free what no slot and no pin holds. A value that ends
// while somebody holds it is seen by its seal, one that does not end by the count of those alive.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <vector>

#include <tenure/cache.hpp>
#include <tenure/eviction.hpp>

#include "core/base/yield_point.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

class sealed {
 public:
  explicit sealed(int key) : seal_(seal_of(key)) { ++alive; }
  sealed(const sealed& other) : seal_(other.seal_) { ++alive; }
  sealed& operator=(const sealed&) = delete;
  ~sealed() {
    *const_cast<volatile std::uint64_t*>(&seal_) = 0;
    --alive;
  }
  bool is_of(int key) const { return seal_ == seal_of(key); }
  inline static std::atomic<int> alive = 0;

 private:
  static std::uint64_t seal_of(int key) { return 0x1234567890abcdef + static_cast<std::uint64_t>(key); }
  std::uint64_t seal_;
};

// Neighbours in the table: keys of one shard and one place there, so that whoever goes moves the others up.
struct one_place {
  std::size_t operator()(int) const noexcept { return 1; }
};
using crowded = cache<int, sealed, eviction::lru, one_place>;
using spread = cache<int, sealed, eviction::lru>;

template <class shipped_cache>
void look(shipped_cache& shipped, int key, std::uint64_t seed) {
  auto found = shipped.get(key);
  if (!found) return;
  ASSERT_TRUE(found->is_of(key)) << "seed " << seed;
  auto copy = found;
  core::yield_point();
  found.reset();
  ASSERT_TRUE(copy->is_of(key)) << "seed " << seed;
  core::yield_point();
  const auto moved = std::move(copy);
  ASSERT_TRUE(moved->is_of(key)) << "seed " << seed;
}

template <class shipped_cache>
void change(shipped_cache& shipped, int key, std::uint64_t draw) {
  switch (draw % 4) {
    case 0:
      shipped.erase(key);
      break;
    case 1:
      shipped.trim(1);
      break;
    default:
      shipped.put(key, sealed(key));
  }
}

template <class shipped_cache>
void run_for_seed(std::uint64_t seed) {
  {
    shipped_cache shipped(limit_entries{3});
    for (int key = 0; key < 3; ++key) shipped.put(key, sealed(key));
    systematic threads(seed);
    for (std::uint64_t number = 0; number < 4; ++number) {
      threads.add([&shipped, seed, number] {
        std::mt19937_64 random(seed * 4 + number);
        for (int i = 0; i < 6; ++i) {
          const int key = static_cast<int>(random() % 5);
          if (number < 2) {
            look(shipped, key, seed);
          } else {
            change(shipped, key, random());
          }
        }
      });
    }
    threads.run();
    shipped.check();
    shipped.clear();
    shipped.trim();
    ASSERT_EQ(shipped.statistics().waiting_entries, 0u) << "seed " << seed;
    ASSERT_EQ(sealed::alive, 0) << "seed " << seed;
  }
}

TEST(cache_systematic, a_handle_keeps_its_entry_among_entries_that_move) {
  for (std::uint64_t seed = 0; seed < test::rounds(1000u); ++seed) run_for_seed<crowded>(seed);
}

TEST(cache_systematic, a_handle_keeps_its_entry) {
  for (std::uint64_t seed = 0; seed < test::rounds(500u); ++seed) run_for_seed<spread>(seed);
}

// What is there all the time is found all the time, whatever is taken out before it in the table.
TEST(cache_systematic, what_stays_is_found_while_others_move) {
  for (std::uint64_t seed = 0; seed < test::rounds(800u); ++seed) {
    crowded shipped(limit_entries{100});
    for (int key = 0; key < 6; ++key) shipped.put(key, sealed(key));
    systematic threads(seed);
    for (int number = 0; number < 2; ++number) {
      threads.add([&shipped, seed] {
        for (int i = 0; i < 4; ++i) {
          const auto found = shipped.get(5);
          ASSERT_TRUE(found && found->is_of(5)) << "seed " << seed;
        }
      });
    }
    threads.add([&shipped, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 6; ++i) {
        const int key = static_cast<int>(random() % 5);
        if (!shipped.erase(key)) shipped.put(key, sealed(key));
      }
      shipped.put(5, sealed(5));
    });
    threads.run();
    shipped.check();
  }
}

// More handles than a thread has slots: a hazard in passing, until the pin.
TEST(cache_systematic, a_handle_beyond_the_slots_keeps_its_entry) {
  for (std::uint64_t seed = 0; seed < test::rounds(500u); ++seed) {
    {
      crowded shipped(limit_entries{100});
      for (int key = 0; key < 7; ++key) shipped.put(key, sealed(key));
      systematic threads(seed);
      threads.add([&shipped, seed] {
        std::vector<crowded::handle> all;
        for (int key = 0; key < 7; ++key) all.push_back(shipped.get(key));
        core::yield_point();
        for (const auto& one : all) {
          ASSERT_TRUE(!one || one->is_of(one.key())) << "seed " << seed;
        }
      });
      threads.add([&shipped] {
        for (const int key : {6, 5, 0, 6}) {
          if (!shipped.erase(key)) shipped.put(key, sealed(key));
        }
        shipped.trim();
      });
      threads.run();
      shipped.clear();
      shipped.trim();
      ASSERT_EQ(shipped.statistics().waiting_entries, 0u) << "seed " << seed;
    }
    ASSERT_EQ(sealed::alive, 0) << "seed " << seed;
  }
}

// A thread that stops within hit() sets back what others of its stripe have told, and been drained of, meanwhile.
TEST(cache_systematic, a_log_that_is_set_back_is_drained_to_its_end) {
  for (std::uint64_t seed = 0; seed < test::rounds(500u); ++seed) {
    detail::read_log log;
    std::size_t told = 0;
    const auto drain = [&] {
      log.drain([&](const detail::read_log::identities& all, std::size_t count) {
        ASSERT_LE(count, detail::read_log::kept) << "seed " << seed;
        for (std::size_t i = 0; i < count; ++i) ASSERT_NE(all[i], 0u) << "seed " << seed;
        told += count;
      });
    };
    systematic threads(seed);
    for (std::uint64_t number = 1; number <= 3; ++number) {
      threads.add([&, number] {
        for (std::uint64_t i = 0; i < 20; ++i) {
          if (log.hit(0, number * 100 + i)) drain();
          if (i % 5 == number) drain();
        }
      });
    }
    threads.run();
    drain();
    ASSERT_EQ(log.hits(), 60u);
    ASSERT_LE(told, 60u) << "seed " << seed;
    ASSERT_GT(told, 10u) << "seed " << seed;
    // And afterwards it works as before.
    const std::size_t before = told;
    for (std::uint64_t i = 0; i < 20; ++i) log.hit(0, 1000 + i);
    drain();
    ASSERT_EQ(told, before + 20) << "seed " << seed;
  }
}

}  // namespace
