// Atomic counts step by step: threads stop between the look at a count and its change. An object that ends while
// somebody has a reference to it is seen by its stamp, a block that is freed while somebody looks at its counts by the
// memory that it is from, and what does not end, or twice, by the numbers.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory_resource>
#include <utility>

#include <tenure/arc.hpp>
#include <tenure/intrusive.hpp>

#include "core/base/yield_point.h"
#include "counted_object.h"
#include "rounds.h"
#include "systematic.h"

using namespace tenure;
using tenure::testing::expect_intact;
using tenure::testing::intact;
using tenure::testing::systematic;
using tenure::testing::take_copy_and_drop;

namespace {

using object = tenure::testing::counted_object;

// Keeps what it is given back, filled with a pattern that nobody may change or take for a count.
class graveyard final : public std::pmr::memory_resource {
 public:
  ~graveyard() override {
    for (std::size_t i = 0; i < count_; ++i) std::free(graves_[i].begin);
  }
  std::size_t live() const { return taken_ - count_; }
  bool is_undisturbed() const {
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t at = 0; at < graves_[i].bytes; ++at) {
        if (static_cast<unsigned char*>(graves_[i].begin)[at] != 0) return false;
      }
    }
    return true;
  }

 private:
  struct grave {
    void* begin;
    std::size_t bytes;
  };
  void* do_allocate(std::size_t bytes, std::size_t) override {
    ++taken_;
    return std::malloc(bytes);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t) override {
    ASSERT_LT(count_, graves_.size());
    graves_[count_++] = {block, bytes};
    std::memset(block, 0, bytes);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::array<grave, 64> graves_{};
  std::size_t count_ = 0, taken_ = 0;
};

using place = arc<object>;

TEST(arc_systematic, an_object_ends_once_and_not_before_its_last_reference) {
  for (std::uint64_t seed = 0; seed < test::rounds(1500u) && !HasFailure(); ++seed) {
    graveyard memory;
    object::ended = 0;
    std::array<place, 3> places;
    places[0] = places[1] = places[2] = allocate_arc<object>(memory);
    systematic threads(seed);
    for (std::size_t number = 0; number < 3; ++number) {
      threads.add([&, number] {
        for (std::size_t i = 0; i < 4; ++i)
          take_copy_and_drop<weak_arc<object>>(places[(number + i) % 3], places[(number * i + 1) % 3], seed);
        places[number].reset();
      });
    }
    threads.run();
    for (place& one : places) one.reset();
    ASSERT_EQ(object::alive, 0) << "seed " << seed;
    ASSERT_EQ(object::ended, 1) << "seed " << seed;
    ASSERT_EQ(memory.live(), 0u) << "seed " << seed;
    ASSERT_TRUE(memory.is_undisturbed()) << "seed " << seed;
  }
}

// The last references of both kinds go at once, while others try to make a strong one of a weak one. The block goes
// once, after all of them.
TEST(arc_systematic, a_block_goes_with_its_last_reference_of_either_kind) {
  int locked = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < test::rounds(1500u) && !HasFailure(); ++seed) {
    graveyard memory;
    object::ended = 0;
    place only = allocate_arc<object>(memory);
    std::array<weak_arc<object>, 2> seen = {only, only};
    systematic threads(seed);
    threads.add([&] { only.reset(); });
    for (weak_arc<object>& one : seen) {
      threads.add([&] {
        for (int i = 0; i < 3; ++i) {
          const place mine = one.lock();
          ++(mine == nullptr ? refused : locked);
          expect_intact(mine, seed);
          weak_arc<object> another = one;
          another.reset();
        }
        one.reset();
      });
    }
    threads.run();
    ASSERT_EQ(object::ended, 1) << "seed " << seed;
    ASSERT_EQ(memory.live(), 0u) << "seed " << seed;
    ASSERT_TRUE(memory.is_undisturbed()) << "seed " << seed;
  }
  EXPECT_GT(locked, 0);
  EXPECT_GT(refused, 0);
}

// The count in the object itself.
struct inside : arc_counted<inside> {
  ~inside() {
    value = 0;
    ++ended;
  }
  std::uint64_t value = intact;
  inline static int ended = 0;
};
TEST(arc_systematic, an_intrusive_object_ends_once) {
  for (std::uint64_t seed = 0; seed < test::rounds(500u) && !HasFailure(); ++seed) {
    inside::ended = 0;
    std::array<intrusive_ptr<inside>, 3> places;
    places[0] = places[1] = places[2] = make_intrusive<inside>();
    systematic threads(seed);
    for (auto& one : places) {
      threads.add([&] {
        for (int i = 0; i < 3; ++i) {
          const intrusive_ptr<inside> copy = one;
          ASSERT_EQ(copy->value, intact) << "seed " << seed;
          core::yield_point();
        }
        one.reset();
      });
    }
    threads.run();
    ASSERT_EQ(inside::ended, 1) << "seed " << seed;
  }
}

}  // namespace
