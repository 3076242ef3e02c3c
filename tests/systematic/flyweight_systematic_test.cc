// Flyweights step by step: a thread lets the last one of a value go and stops before it takes the lock, while others
// find the value, or bring an equal one. Values are counted by themselves: there is one of each at most, it is whole
// for as long as somebody has it, and none is left.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include <tenure/flyweight.hpp>

#include "core/base/yield_point.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::systematic;

namespace {

constexpr std::uint64_t intact = 0x1234567890abcdef;

// What is moved or copied from stays counted until its destructor; those in the set are counted by statistics().
struct value {
  explicit value(int of) : number(of) { ++alive; }
  value(const value& other) : number(other.number), stamp(other.stamp) { ++alive; }
  value& operator=(const value&) = delete;
  ~value() {
    stamp = 0;
    --alive;
  }
  bool operator==(const value& other) const { return number == other.number; }
  int number;
  std::uint64_t stamp = intact;
  inline static std::atomic<int> alive = 0;
};
struct same_part {
  std::size_t operator()(const value& of) const noexcept { return static_cast<std::size_t>(of.number) * 64; }
};
using shared_value = flyweight<value, same_part>;

void expect_whole(const shared_value& one, int number, std::uint64_t seed) {
  ASSERT_EQ(one->stamp, intact) << "seed " << seed;
  ASSERT_EQ(one->number, number) << "seed " << seed;
}

TEST(flyweight_systematic, equal_values_are_one_for_as_long_as_somebody_has_them) {
  for (std::uint64_t seed = 0; seed < test::rounds(2000u) && !HasFailure(); ++seed) {
    systematic threads(seed);
    for (int thread = 0; thread < 3; ++thread) {
      threads.add([&, thread] {
        for (int i = 0; i < 4; ++i) {
          const int number = (thread + i) % 2;
          std::optional<shared_value> one(value{number});
          expect_whole(*one, number, seed);
          const shared_value copy = *one;
          core::yield_point();
          one.reset();
          core::yield_point();
          const shared_value again(value{number});
          ASSERT_TRUE(again == copy) << "seed " << seed;
          expect_whole(copy, number, seed);
        }
      });
    }
    threads.run();
    ASSERT_EQ(shared_value::statistics().values, 0u) << "seed " << seed;
    ASSERT_EQ(shared_value::statistics().held_bytes, 0u) << "seed " << seed;
    ASSERT_EQ(value::alive, 0) << "seed " << seed;
  }
}

// Threads that hand one another what they have.
TEST(flyweight_systematic, copies_go_from_thread_to_thread) {
  for (std::uint64_t seed = 0; seed < test::rounds(1000u) && !HasFailure(); ++seed) {
    std::array<std::optional<shared_value>, 2> places;
    systematic threads(seed);
    for (std::size_t thread = 0; thread < 3; ++thread) {
      threads.add([&, thread] {
        for (std::size_t i = 0; i < 5; ++i) {
          std::optional<shared_value> mine(std::in_place, value{7});
          std::swap(mine, places[(thread + i) % 2]);
          core::yield_point();
          if (mine) expect_whole(*mine, 7, seed);
        }
      });
    }
    threads.run();
    ASSERT_EQ(shared_value::statistics().values, 1u) << "seed " << seed;
    ASSERT_TRUE(*places[0] == *places[1]) << "seed " << seed;
    for (auto& one : places) one.reset();
    ASSERT_EQ(value::alive, 0) << "seed " << seed;
  }
}

}  // namespace
