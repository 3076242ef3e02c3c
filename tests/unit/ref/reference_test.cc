// What the kinds of references do not share: counts at their limits, intrusive references, arc among threads.
#include <gtest/gtest.h>
#include <tenure/tenure.h>
#include <tenure/arc.hpp>
#include <tenure/intrusive.hpp>
#include <tenure/object_pool.hpp>
#include <tenure/rc.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "../../support/dice.h"

namespace tenure {
namespace {

// Counts as if so many references were there.
template <class Counts, class Word>
void set_to(Counts& of, Word value) {
  static_assert(sizeof(Counts) == sizeof value);
  std::memcpy(static_cast<void*>(&of), &value, sizeof value);
}
constexpr std::uint32_t most = 0x7fff'ffff;

template <class Count>
void expect_saturation() {
  Count count;
  set_to(count, most);
  EXPECT_DEATH(count.add(), "more references than 2147483647: 0x.*reference");
  set_to(count, 0u);
  EXPECT_DEATH(static_cast<void>(count.release()), "release of a reference that is not there");
}

TEST(Counts, EndInAMessageAtTheirLimit) {
  expect_saturation<detail::plain_count>();
  expect_saturation<detail::atomic_count>();
}

template <class Count>
void saturate_quietly() {
  Count counts;
  set_to(counts, most);
  counts.add();
  const std::uint32_t stays = counts.value();
  for (int i = 0; i < 1000; ++i) counts.add();
  for (int i = 0; i < 5000; ++i) {
    if (counts.release()) std::exit(1);
  }
  std::exit(counts.value() == stays ? 0 : 2);
}

TEST(Counts, StayWhereTheyAreWhenMisuseDoesNotAbort) {
  const auto run = [](void (*body)()) {
    ASSERT_EQ(tenure_option_set("abort_on_misuse", 0), 1);
    EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "more references than");
    ASSERT_EQ(tenure_option_set("abort_on_misuse", 1), 1);
  };
  run(&saturate_quietly<detail::plain_count>);
  run(&saturate_quietly<detail::atomic_count>);
}

// The two halves of arc's word do not run into one another.
TEST(Counts, StrongAndWeakAreApart) {
  detail::atomic_counts counts;
  for (int i = 0; i < 1000; ++i) counts.add_weak();
  for (int i = 0; i < 500; ++i) counts.add_strong();
  EXPECT_EQ(counts.strong(), 501u);
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(counts.release_strong());
  EXPECT_TRUE(counts.release_strong());
  EXPECT_FALSE(counts.try_add_strong());
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(counts.release_weak());
  EXPECT_TRUE(counts.release_weak());
  set_to(counts, std::uint64_t{most} << 32 | 1);
  EXPECT_DEATH(counts.add_weak(), "more references than");
  set_to(counts, std::uint64_t{1} << 32 | most);
  EXPECT_DEATH(counts.add_strong(), "more references than");
}

struct shape : arc_counted<shape> {
  virtual ~shape() { --alive; }
  shape() { ++alive; }
  shape(const shape& other) : arc_counted<shape>(other) { ++alive; }
  intrusive_ptr<shape> self() { return intrusive_ptr<shape>(this); }
  inline static int alive = 0;
};
struct circle : shape {
  int radius = 3;
};

TEST(IntrusivePtr, IsOneWordAndIsMadeFromThis) {
  static_assert(sizeof(intrusive_ptr<shape>) == sizeof(void*));
  auto round = make_intrusive<circle>();
  intrusive_ptr<shape> one = round;
  EXPECT_EQ(one->self().use_count(), 3);
  EXPECT_EQ(one, round);
  one = std::move(round);
  EXPECT_EQ(round, nullptr);
  EXPECT_EQ(one.use_count(), 1);
  shape* const bare = one.detach();
  EXPECT_EQ(shape::alive, 1);
  one = intrusive_ptr<shape>::adopt(bare);
  const shape copy(*one);
  EXPECT_EQ(one.use_count(), 1);
  one.reset();
  EXPECT_EQ(shape::alive, 1);
}

struct packet : rc_counted<packet> {
  static void end(packet* one) noexcept { home->destroy(one); }
  intrusive_ptr<packet> next;
  inline static object_pool<packet>* home = nullptr;
};

TEST(IntrusivePtr, GivesObjectsBackToAPoolAlsoInLongChains) {
  object_pool<packet> pool({.name = "packets"});
  packet::home = &pool;
  intrusive_ptr<packet> head;
  for (int i = 0; i < 200'000; ++i) {
    auto fresh = intrusive_ptr<packet>::adopt(pool.make());
    fresh->next = std::move(head);
    head = std::move(fresh);
  }
  EXPECT_EQ(pool.live_objects(), 200'000u);
  head.reset();
  EXPECT_EQ(pool.live_objects(), 0u);
}

struct counted_stamp {
  explicit counted_stamp(std::atomic<int>& of) : alive(of) { ++alive; }
  ~counted_stamp() {
    stamp = 0;
    --alive;
  }
  std::atomic<int>& alive;
  std::uint64_t stamp = 0x1234;
};

// Threads copy, let go of, lock and replace references in places that they share under locks.
TEST(ArcStress, ObjectsEndOnceAndNeverWhileTheyAreUsed) {
  std::atomic<int> alive = 0;
  std::atomic<int> clashes = 0;
  struct place {
    std::mutex lock;
    arc<counted_stamp> strong;
    weak_arc<counted_stamp> weak;
  };
  {
    std::array<place, 4> places;
    std::vector<std::thread> threads;
    for (std::uint32_t number = 0; number < 4; ++number) {
      threads.emplace_back([&, number] {
        test::dice random(number);
        for (int i = 0; i < 20'000; ++i) {
          place& from = places[random.below(4)];
          arc<counted_stamp> mine;
          weak_arc<counted_stamp> seen;
          {
            const std::lock_guard held(from.lock);
            if (random.one_in(8)) {
              from.strong = make_arc<counted_stamp>(alive);
              from.weak = from.strong;
            }
            if (random.one_in(2)) mine = from.strong;
            seen = from.weak;
          }
          if (!mine) mine = seen.lock();
          if (mine && mine->stamp != 0x1234) ++clashes;
          place& to = places[random.below(4)];
          const std::lock_guard held(to.lock);
          swap(to.strong, mine);
        }
      });
    }
    for (std::thread& one : threads) one.join();
  }
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace tenure
