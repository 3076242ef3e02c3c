// The plan mark_sweep_lazy: what a cycle leaves to allocation, what it does not, and that nobody can tell but by
// figures.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "support/rounds.h"

using namespace tenure;

namespace gc_lazy_sweep_tests {
namespace {

struct item {
  gc::member<item> next;
  std::uint64_t words[14] = {};
};
struct counted {
  ~counted() { ++*ends; }
  TENURE_GC_MEMBERS(counted, ends);
  std::atomic<int>* ends = nullptr;
};

// The cycles that growth begins end as this one does: it is a full one, and nothing is swept when it returns.
void run_cycle(gc::heap& heap) { heap.collect_young(); }

class lazy_sweep : public ::testing::Test {
 protected:
  // Each tenth of so many is kept.
  void fill(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const gc::local<item> made = heap_.make<item>();
      made->words[13] = i;
      if (i % 10 != 0) continue;
      made->next = kept_.get();
      kept_ = made.get();
      ++kept_count_;
    }
  }
  void expect_kept() const {
    std::size_t expected = kept_count_;
    for (gc::local<item> at(kept_.get()); at; at = at->next) ASSERT_EQ(at->words[13], --expected * 10);
    EXPECT_EQ(expected, 0u);
  }

  gc::heap heap_{
      {.name = "lazy", .plan = gc::plan::mark_sweep_lazy, .least_growth_bytes = std::size_t{1} << 30, .poison = true}};
  gc::root<item> kept_;
  std::size_t kept_count_ = 0;
};

TEST_F(lazy_sweep, a_cycle_leaves_the_dead_where_they_are_and_knows_how_many_live) {
  constexpr std::size_t count = 20'000;
  fill(count);
  const std::size_t blocks = heap_.statistics().block_bytes;
  run_cycle(heap_);
  EXPECT_EQ(heap_.statistics().live_objects, kept_count_);
  EXPECT_EQ(heap_.statistics().freed_objects, 0u);
  EXPECT_EQ(heap_.statistics().block_bytes, blocks);
  heap_.check();
  expect_kept();
}

TEST_F(lazy_sweep, allocation_sweeps_what_it_needs_before_it_asks_for_more) {
  constexpr std::size_t count = 20'000;
  fill(count);
  run_cycle(heap_);
  const std::size_t blocks = heap_.statistics().block_bytes;
  // As much as fits into what has died, all of it kept.
  std::vector<gc::root<item>> more;
  for (std::size_t i = 0; i < count / 2; ++i) {
    more.emplace_back(heap_.make<item>());
    if (i == 1000) {
      // A few blocks have been swept by now, and no more.
      EXPECT_GT(heap_.statistics().freed_objects, 0u);
      EXPECT_LT(heap_.statistics().freed_objects, count / 4);
    }
  }
  EXPECT_EQ(heap_.statistics().block_bytes, blocks);
  EXPECT_GE(heap_.statistics().freed_objects, count / 2 - 1000);  // the last block had room
  expect_kept();
  run_cycle(heap_);
  EXPECT_EQ(heap_.statistics().live_objects, kept_count_ + more.size());
  heap_.check();
  expect_kept();
}

TEST_F(lazy_sweep, the_next_cycle_finds_everything_swept) {
  constexpr std::size_t count = 20'000;
  fill(count);
  run_cycle(heap_);
  kept_ = nullptr;
  run_cycle(heap_);
  EXPECT_EQ(heap_.statistics().freed_objects, count - kept_count_);
  EXPECT_EQ(heap_.statistics().live_objects, 0u);
  run_cycle(heap_);
  EXPECT_EQ(heap_.statistics().freed_objects, count);
}

TEST_F(lazy_sweep, collect_leaves_nothing_to_sweep) {
  constexpr std::size_t count = 20'000;
  fill(count);
  heap_.collect();
  EXPECT_EQ(heap_.statistics().freed_objects, count - kept_count_);
  EXPECT_EQ(heap_.objects().size(), kept_count_);
  kept_ = nullptr;
  heap_.collect();
  EXPECT_EQ(heap_.statistics().block_bytes, 0u);
}

TEST_F(lazy_sweep, large_objects_go_with_the_cycle) {
  gc::local<gc::array<char>> row = heap_.make_array<char>(500'000);
  const std::size_t blocks = heap_.statistics().block_bytes;
  row = nullptr;
  run_cycle(heap_);
  EXPECT_LE(heap_.statistics().block_bytes + 500'000, blocks);
}

// Who asks for memory at the limit gets what had died, of whatever size it was.
TEST_F(lazy_sweep, at_the_limit_everything_is_swept) {
  heap_.set_limit_bytes(4 << 20);
  struct wide {
    char bytes[2000];
  };
  for (int i = 0; i < 1000; ++i) heap_.make<wide>();
  run_cycle(heap_);
  EXPECT_NO_THROW({
    for (int i = 0; i < 20'000; ++i) heap_.make<item>();
  });
  EXPECT_LE(heap_.statistics().block_bytes, std::size_t{4} << 20);
}

// Weak references and destructors do not wait for the sweep, and a destructor runs once.
TEST_F(lazy_sweep, ends_are_told_by_the_cycle) {
  std::atomic<int> ends{0};
  std::vector<gc::weak<counted>> weak;
  for (int i = 0; i < 1000; ++i) {
    const gc::local<counted> made = heap_.make<counted>();
    made->ends = &ends;
    weak.emplace_back(made);
  }
  run_cycle(heap_);
  for (const gc::weak<counted>& each : weak) ASSERT_TRUE(each.expired());
  heap_.wait_for_destructors();
  EXPECT_EQ(ends, 1000);
  for (int i = 0; i < 3; ++i) {
    for (int made = 0; made < 100; ++made) heap_.make<counted>()->ends = &ends;
    run_cycle(heap_);
  }
  heap_.collect();
  heap_.wait_for_destructors();
  EXPECT_EQ(ends, 1300);
}

// Threads sweep the blocks of one list, each for itself, while cycles come.
TEST(lazy_sweep_threads, threads_sweep_beside_each_other_and_beside_cycles) {
  gc::heap heap({.name = "lazy threads",
                 .plan = gc::plan::mark_sweep_lazy,
                 .least_growth_bytes = 256 << 10,
                 .verify = true,
                 .poison = true});
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&heap, t] {
      gc::local<item> list;
      for (std::uint64_t i = 0; i < test::rounds(20'000u); ++i) {
        gc::local<item> made = heap.make<item>();
        made->words[0] = t << 32 | i;
        if (i % 7 == 0) {
          made->next = list;
          list = made;
        }
        if (i % 5000 == 4999) list = nullptr;
      }
      std::uint64_t before = ~std::uint64_t{0};
      for (gc::local<item> at = list; at; at = at->next) {
        ASSERT_EQ(at->words[0] >> 32, t);
        ASSERT_LT(at->words[0], before);
        before = at->words[0];
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_GT(heap.statistics().cycles, 2u);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
  heap.check();
}

}  // namespace
}  // namespace gc_lazy_sweep_tests
