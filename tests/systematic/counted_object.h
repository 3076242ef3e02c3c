// What systematic tests of reference counts count: an object that says by a stamp that it is alive, and what a thread
// does with a reference that it finds.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <utility>

namespace tenure::testing {

inline constexpr std::uint64_t intact = 0x1234567890abcdef;

struct counted_object {
  counted_object() { ++alive; }
  ~counted_object() {
    value = 0;
    --alive;
    ++ended;
  }
  counted_object(const counted_object&) = delete;
  counted_object& operator=(const counted_object&) = delete;
  std::uint64_t value = intact;
  inline static std::atomic<int> alive = 0;
  inline static std::atomic<int> ended = 0;
};

template <class reference>
void expect_intact(const reference& one, std::uint64_t seed) {
  if (one != nullptr) {
    ASSERT_EQ(one->value, intact) << "seed " << seed;
  }
}

// Nothing yields within a swap.
template <class weak_reference, class reference>
void take_copy_and_drop(reference& from, reference& to, std::uint64_t seed) {
  using std::swap;
  reference mine;
  swap(mine, from);
  if (mine == nullptr) return;
  expect_intact(mine, seed);
  reference copy = mine;
  const weak_reference seen = copy;
  mine.reset();
  expect_intact(copy, seed);
  swap(copy, to);
  copy.reset();
  const reference again = seen.lock();
  expect_intact(again, seed);
}

}  // namespace tenure::testing
