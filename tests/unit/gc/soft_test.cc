// soft<T>: a test for each sentence of its contract (include/tenure/gc/soft.hpp). The clock is the test's.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/weak_cells.h"
#include "support/dice.h"
#include "support/rounds.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace gc_soft_tests {
namespace {

struct item {
  gc::member<item> next;
  std::uint64_t value = 0;
};

// A heap of 64 MiB with nearly nothing in it: a soft reference lasts for 63 times the ms_per_free_mib.
constexpr std::size_t limit_bytes = std::size_t{64} << 20;
constexpr std::uint64_t patience_ms = 63'000;

class soft : public ::testing::TestWithParam<gc::plan> {
 protected:
  ~soft() override { gc::set_soft_clock(0); }

  // A cycle ends at that time.
  void collect_at(std::uint64_t now_ms) {
    gc::set_soft_clock(now_ms);
    heap_.collect();
  }
  gc::soft<item> make_soft(std::uint64_t value = 0) {
    gc::local<item> made = heap_.make<item>();
    made->value = value;
    return gc::soft<item>(made);
  }

  test::any_heap heap_{
      {.name = "soft", .plan = GetParam(), .limit_bytes = limit_bytes, .verify = true, .poison = true}};
};

TEST_P(soft, sentence_1_lives_on_while_it_is_used_in_time) {
  collect_at(1'000);
  const gc::soft<item> kept = make_soft(7);
  collect_at(1'000 + patience_ms - 1);
  ASSERT_EQ(kept.lock()->value, 7u);
  collect_at(1'000 + 2 * patience_ms - 2);
  ASSERT_EQ(kept.lock()->value, 7u);
}

// However long no cycle has run.
TEST_P(soft, sentence_1_what_was_used_since_the_last_cycle_stays) {
  collect_at(1'000);
  const gc::soft<item> kept = make_soft(7);
  collect_at(1'000 + 10 * patience_ms);
  ASSERT_FALSE(kept.expired());
  ASSERT_EQ(kept.lock()->value, 7u);
  collect_at(1'000 + 20 * patience_ms);
  ASSERT_FALSE(kept.expired());
  ASSERT_EQ(kept.lock()->value, 7u);
}

// The first cycle of a program, which has no last one before it.
TEST_P(soft, sentence_1_the_first_cycle_is_no_exception) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const gc::soft<item> kept = make_soft(7);
        heap_.collect();
        std::_Exit(kept.expired() ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_P(soft, sentence_2_is_gone_when_it_was_not_used_for_long) {
  collect_at(1'000);
  const gc::soft<item> first = make_soft();
  const gc::soft<item> second = make_soft();
  collect_at(2'000);
  EXPECT_TRUE(second.lock());
  EXPECT_FALSE(first.expired());  // to look is not to use
  collect_at(1'000 + patience_ms);
  EXPECT_FALSE(first.expired());
  collect_at(2'000 + patience_ms - 1);
  EXPECT_TRUE(first.expired());
  EXPECT_EQ(first.lock(), nullptr);
  collect_at(2'000 + patience_ms);
  EXPECT_FALSE(second.expired());
  collect_at(2'000 + patience_ms);
  EXPECT_TRUE(second.expired());
}

// Each MiB that is taken takes a second off the time.
TEST_P(soft, sentence_3_goes_the_earlier_the_less_room_there_is) {
  std::vector<gc::soft<item>> references;
  for (std::uint64_t second = 1; second <= 60; ++second) {
    collect_at(second * 1000);
    references.push_back(make_soft(second));
  }
  std::vector<gc::root<gc::array<char>>> ballast;
  std::size_t alive = references.size();
  for (int round = 0; round < 12; ++round) {
    for (int mib = 0; mib < 4; ++mib) ballast.emplace_back(heap_.make_array<char>((1 << 20) - 4096));
    heap_.collect();  // the room is what the cycle before has found
    collect_at(60'000);
    std::size_t gone = 0;
    while (gone < references.size() && references[gone].expired()) ++gone;
    for (std::size_t i = gone; i < references.size(); ++i) ASSERT_FALSE(references[i].expired()) << i;
    EXPECT_LE(references.size() - gone, alive);
    alive = references.size() - gone;
  }
  EXPECT_LT(alive, 20u);
  EXPECT_GT(alive, 0u);
}

TEST_P(soft, sentence_4_is_gone_before_memory_is) {
  heap_.set_soft_ms_per_free_mib(~0u);
  collect_at(1);
  std::vector<gc::soft<gc::array<char>>> cached;
  // Four times what fits.
  for (int i = 0; i < 256; ++i) cached.emplace_back(heap_.make_array<char>(1 << 20));
  const auto is_expired = [](const auto& reference) { return reference.expired(); };
  EXPECT_GE(std::count_if(cached.begin(), cached.end(), is_expired), 192);
  EXPECT_FALSE(cached.back().expired());
  // And if that is not enough, all of them.
  EXPECT_THROW(heap_.make_array<char>(2 * limit_bytes), std::bad_alloc);
  EXPECT_EQ(std::count_if(cached.begin(), cached.end(), is_expired), 256);
}

TEST_P(soft, sentence_5_keeps_what_the_object_leads_to) {
  collect_at(1'000);
  gc::local<item> first = heap_.make<item>();
  first->next = heap_.make<item>();
  first->next->next = first;
  const gc::soft<item> kept(first);
  const gc::weak<item> second(first->next);
  first = nullptr;
  collect_at(1'000 + patience_ms - 1);
  EXPECT_FALSE(second.expired());
  collect_at(1'000 + patience_ms);
  EXPECT_FALSE(second.expired());
  heap_.collect();
  EXPECT_TRUE(second.expired());
  EXPECT_TRUE(kept.expired());
}

struct watcher {
  ~watcher() { *was_null = weakly.expired() && softly.expired() ? 1 : 0; }
  TENURE_GC_MEMBERS(watcher, weakly, softly, was_null);
  gc::weak<watcher> weakly;
  gc::soft<watcher> softly;
  std::atomic<int>* was_null = nullptr;
};
TEST_P(soft, sentence_6_is_null_for_ever_for_all_and_before_the_destructor) {
  std::atomic<int> was_null{-1};
  collect_at(1);
  gc::local<watcher> strong = heap_.make<watcher>();
  strong->was_null = &was_null;
  strong->weakly = strong;
  strong->softly = strong;
  const gc::weak<watcher> weakly(strong);
  const gc::soft<watcher> softly(strong);
  const gc::soft<watcher> copy = softly;
  strong = nullptr;
  collect_at(2);
  EXPECT_FALSE(weakly.expired());  // they are one: the soft reference keeps it
  collect_at(2 + 2 * patience_ms);
  heap_.collect();
  heap_.wait_for_destructors();
  EXPECT_EQ(was_null.load(), 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(weakly.expired() && softly.expired() && copy.expired());
    heap_.make<watcher>()->was_null = &was_null;
    heap_.collect();
  }
  heap_.wait_for_destructors();
}

TEST_P(soft, sentence_7_is_weak_with_no_time) {
  heap_.set_soft_ms_per_free_mib(0);
  collect_at(1);
  const gc::soft<item> reference = make_soft();
  EXPECT_TRUE(reference.lock());
  collect_at(1);
  EXPECT_TRUE(reference.expired());
}

TEST_P(soft, the_last_soft_reference_leaves_a_weak_one_weak) {
  collect_at(1);
  gc::local<item> strong = heap_.make<item>();
  const gc::weak<item> weakly(strong);
  gc::soft<item> softly(strong);
  strong = nullptr;
  softly = nullptr;
  collect_at(1);
  EXPECT_TRUE(weakly.expired());
}

// Against a model that is told what is used when.
TEST_P(soft, agrees_with_a_model_of_last_uses) {
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    test::dice dice(seed);
    std::vector<gc::soft<item>> references;
    std::vector<std::uint64_t> used_ms;
    std::uint64_t now_ms = 1'000'000 * seed;
    collect_at(now_ms);
    for (int step = 0; step < test::rounds(300); ++step) {
      references.push_back(make_soft(references.size()));
      used_ms.push_back(now_ms);
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t which = dice.below(static_cast<std::uint32_t>(references.size()));
        const gc::local<item> found = references[which].lock();
        ASSERT_EQ(found != nullptr, used_ms[which] != 0) << "seed " << seed << " step " << step;
        if (!found) continue;
        ASSERT_EQ(found->value, which);
        used_ms[which] = now_ms;
      }
      if (!dice.one_in(5)) continue;
      const std::uint64_t ended_ms = now_ms;  // the cycle before
      now_ms += dice.below(2 * patience_ms / 5);
      collect_at(now_ms);
      for (std::size_t i = 0; i < references.size(); ++i) {
        if (ended_ms - used_ms[i] >= patience_ms) used_ms[i] = 0;
        ASSERT_EQ(references[i].expired(), used_ms[i] == 0) << "seed " << seed << " step " << step;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(plans, soft, test::collecting_plans(), test::plan_name);

}  // namespace
}  // namespace gc_soft_tests
