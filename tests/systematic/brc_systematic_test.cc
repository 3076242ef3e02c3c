// Biased counts step by step: an owner and two other threads stop between any two steps of the counts, the merge, the
// queue and the end of a thread, as a seed says. An object that ends while somebody has a reference to it is seen by
// its stamp, one that does not end by the count of those alive.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include <tenure/brc.hpp>

#include "core/base/yield_point.h"
#include "counted_object.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::intact;
using tenure::testing::systematic;
using tenure::testing::take_copy_and_drop;

namespace {

using object = tenure::testing::counted_object;
using place = brc<object>;

// As if the owner had made so many references more that others have let go of: its next but one merges the counts.
void drift_apart(const place& one) {
  constexpr std::uint64_t drift = (1u << 28) - 4;
  std::byte* counts = nullptr;
  std::memcpy(&counts, reinterpret_cast<const std::byte*>(&one) + sizeof(void*), sizeof counts);
  std::uint64_t words[2];
  std::memcpy(words, counts, sizeof words);
  words[0] += drift;
  words[1] -= 4 * drift;
  std::memcpy(counts, words, sizeof words);
}

// The owner gives references away, keeps some, and takes back what it finds, so that its own count comes to none while
// others have copies; it comes by, ends, or both.
void own(std::array<place, 3>& places, std::uint64_t seed) {
  place mine = make_brc<object>();
  if (seed % 5 == 0) drift_apart(mine);
  for (place& one : places) {
    place given = mine;
    swap(one, given);
  }
  const weak_brc<object> seen = mine;
  place more = mine;
  mine.reset();
  if (seed % 2 == 0) settle_brc();
  ASSERT_EQ(more->value, intact) << "seed " << seed;
  more.reset();
  for (place& one : places) {
    place back;
    swap(one, back);
  }
  if (const place again = seen.lock()) {
    ASSERT_EQ(again->value, intact) << "seed " << seed;
  }
  if (seed % 3 == 0) detail::leave_biased();
}

TEST(brc_systematic, an_object_ends_once_and_not_before_its_last_reference) {
  for (std::uint64_t seed = 0; seed < test::rounds(1500u); ++seed) {
    object::ended = 0;
    std::array<place, 3> places;
    systematic threads(seed);
    threads.add([&] { own(places, seed); });
    threads.add([&] {
      for (int i = 0; i < 3; ++i) take_copy_and_drop<weak_brc<object>>(places[0], places[1], seed);
    });
    threads.add([&] {
      for (int i = 0; i < 3; ++i)
        take_copy_and_drop<weak_brc<object>>(places[1], places[static_cast<std::size_t>(i)], seed);
      places[2].reset();
    });
    threads.run();
    for (place& one : places) one.reset();
    settle_brc();
    ASSERT_EQ(object::alive, 0) << "seed " << seed;
    ASSERT_EQ(object::ended, 1) << "seed " << seed;
  }
}

// The reference that the owner counts is let go of by others while the owner ends and a third thread takes its record
// over: somebody always empties the queue.
TEST(brc_systematic, what_is_queued_while_its_owner_ends_is_not_forgotten) {
  for (std::uint64_t seed = 0; seed < test::rounds(1500u); ++seed) {
    std::array<place, 2> places;
    systematic threads(seed);
    threads.add([&] {
      for (place& one : places) {
        place made = make_brc<object>();
        swap(one, made);
      }
      detail::leave_biased();
    });
    for (std::size_t number = 0; number < 2; ++number) {
      threads.add([&, number] {
        for (int i = 0; i < 4; ++i) {
          place mine;
          swap(mine, places[number]);
          if (mine) {
            ASSERT_EQ(mine->value, intact) << "seed " << seed;
          }
          mine.reset();
          core::yield_point();
        }
        const place made = make_brc<object>();
        ASSERT_EQ(made->value, intact) << "seed " << seed;
      });
    }
    threads.run();
    for (place& one : places) one.reset();
    ASSERT_EQ(object::alive, 0) << "seed " << seed;
  }
}

// A weak reference is locked while the owner and another thread let the last ones go.
TEST(brc_systematic, a_weak_reference_gives_a_living_object_or_null_for_ever) {
  int alive = 0;
  int dead = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(1500u); ++seed) {
    place first;
    weak_brc<object> seen;
    bool is_ready = false;
    systematic threads(seed);
    threads.add([&] {
      place mine = make_brc<object>();
      seen = mine;
      if (seed % 2 == 0) {
        place given = mine;
        swap(first, given);
      }
      is_ready = true;
      core::yield_point();
      mine.reset();
      settle_brc();
      core::yield_point();
      settle_brc();
    });
    threads.add([&] {
      for (int i = 0; i < 6 && !is_ready; ++i) core::yield_point();
      place mine;
      swap(mine, first);
      mine.reset();
    });
    threads.add([&] {
      for (int i = 0; i < 6 && !is_ready; ++i) core::yield_point();
      if (!is_ready) return;
      bool was_null = false;
      for (int i = 0; i < 3; ++i) {
        if (seen.expired()) was_null = true;
        const place found = seen.lock();
        if (found) {
          ASSERT_FALSE(was_null) << "seed " << seed;
          ASSERT_EQ(found->value, intact) << "seed " << seed;
          ++alive;
        } else {
          was_null = true;
          ++dead;
        }
      }
    });
    threads.run();
    first.reset();
    ASSERT_EQ(object::alive, 0) << "seed " << seed;
    ASSERT_TRUE(seen.expired()) << "seed " << seed;
  }
  EXPECT_GT(alive, test::rounds(50));
  EXPECT_GT(dead, test::rounds(50));
}

}  // namespace
