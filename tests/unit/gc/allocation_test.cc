// Runs of cells, holes, what young cycles sweep, and when they come.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/heap_state.h"
#include "support/rounds.h"

using namespace tenure;

namespace gc_allocation_tests {
namespace {

struct item {
  gc::member<item> next;
  std::uint64_t value = 0;
};
using row = gc::array<gc::member<item>>;

// An object in every other cell; all are old.
gc::root<row> make_holes(gc::heap& heap, std::size_t kept) {
  gc::root<row> all(heap.make_array<gc::member<item>>(kept));
  for (std::size_t i = 0; i < 2 * kept; ++i) {
    const gc::local<item> made = heap.make<item>();
    if (i % 2 == 0) (*all)[i / 2] = made;
    made->value = i;
  }
  heap.collect();
  return all;
}

TEST(allocation, cells_are_handed_out_in_a_row) {
  gc::heap heap({.name = "in a row"});
  const item* before = heap.make<item>().get();
  int in_a_row = 0;
  for (int i = 0; i < 1000; ++i) {
    const item* made = heap.make<item>().get();
    in_a_row += reinterpret_cast<const char*>(made) - reinterpret_cast<const char*>(before) == 24 ? 1 : 0;
    before = made;
  }
  EXPECT_GE(in_a_row, 990);
}

// Holes are filled before the heap grows, each once, and come zeroed.
TEST(allocation, holes_are_filled) {
  gc::heap heap({.name = "holes", .verify = true, .poison = true});
  const gc::root<row> kept = make_holes(heap, 5000);
  const std::size_t block_bytes = heap.statistics().block_bytes;
  std::set<const item*> made;
  for (const gc::member<item>& each : *kept) made.insert(each.get());
  std::vector<gc::root<item>> filled;
  for (int i = 0; i < 4900; ++i) {
    filled.emplace_back(heap.make<item>());
    ASSERT_TRUE(made.insert(filled.back().get()).second) << "handed out twice";
    ASSERT_EQ(filled.back()->next, nullptr);
  }
  EXPECT_EQ(heap.statistics().block_bytes, block_bytes);
  for (std::size_t i = 0; i < kept->size(); ++i) ASSERT_EQ((*kept)[i]->value, 2 * i);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 5000u + 4900u + 1);
  heap.check();
}

// Of two threads in the same holes each has its own.
TEST(allocation, threads_share_the_holes_of_a_block) {
  gc::heap heap({.name = "shared holes", .verify = true});
  const gc::root<row> kept = make_holes(heap, 5000);
  std::vector<gc::root<item>> made[2];
  std::vector<std::thread> threads;
  for (auto& own : made) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        own.emplace_back(heap.make<item>());
        own.back()->value = i;
      }
    });
  }
  heap.collect_young();
  for (std::thread& thread : threads) thread.join();
  std::set<const item*> all;
  for (const auto& own : made) {
    for (std::uint64_t i = 0; i < own.size(); ++i) {
      ASSERT_EQ(own[i]->value, i);
      all.insert(own[i].get());
    }
  }
  EXPECT_EQ(all.size(), 4000u);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 5000u + 4000u + 1);
}

// What died young in the holes of old blocks is found by a young cycle, which looks at no other.
TEST(allocation, a_young_cycle_finds_what_died_in_the_holes_of_old_blocks) {
  gc::heap heap({.name = "died in holes", .verify = true, .poison = true});
  const gc::root<row> kept = make_holes(heap, 5000);
  const std::uint64_t freed = heap.statistics().freed_objects;
  const gc::root<item> survivor(heap.make<item>());
  for (int i = 0; i < 1000; ++i) heap.make<item>();
  heap.collect_young();
  EXPECT_EQ(heap.statistics().freed_objects - freed, 1000u);
  EXPECT_EQ(heap.statistics().live_objects, 5000u + 1 + 1);
  // Of what is old now nothing dies in young cycles, and the figures say the same without a look at it.
  (*kept)[7] = nullptr;
  heap.collect_young();
  EXPECT_EQ(heap.statistics().live_objects, 5000u + 1 + 1);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 5000u + 1);
}

struct counted {
  explicit counted(int* to) : ends(to) {}
  ~counted() { ++*ends; }
  TENURE_GC_MEMBERS(counted, ends);
  int* ends;
};

// A cell is free when its object's destructor has run; the next young cycle says so and it is taken again.
TEST(allocation, what_destructors_have_left_is_counted_by_the_next_young_cycle) {
  gc::heap heap({.name = "destroyed", .verify = true});
  int ends = 0;
  {
    std::vector<gc::root<counted>> old;
    for (int i = 0; i < 100; ++i) old.emplace_back(heap.make<counted>(&ends));
    heap.collect_young();
    EXPECT_EQ(heap.statistics().live_objects, 100u);
  }
  heap.collect();
  heap.wait_for_destructors();
  EXPECT_EQ(ends, 100);
  heap.collect_young();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
  heap.collect_young();
  EXPECT_EQ(heap.statistics().block_bytes, 0u);
}

// Cells that a thread holds and has not handed out are no objects, in whatever cycle, and go back when it ends.
TEST(allocation, what_a_thread_holds_is_not_live) {
  gc::heap heap({.name = "held", .verify = true});
  const gc::root<row> kept = make_holes(heap, 200);
  std::atomic<int> step{0};
  std::thread other([&] {
    heap.make<item>();
    step = 1;
    step.notify_all();
    step.wait(1);
  });
  step.wait(0);
  for (int cycle = 0; cycle < 6; ++cycle) {
    if (cycle % 2 == 0) {
      heap.collect_young();
    } else {
      heap.collect();
    }
    EXPECT_EQ(heap.statistics().live_objects, 200u + 1) << cycle;
    heap.check();
  }
  step = 2;
  step.notify_all();
  other.join();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 200u + 1);
}

// Beside a large heap that does not grow young garbage takes what the heap may grow by at most, and it takes no look at
// the whole to find it.
TEST(pace, young_cycles_come_by_what_was_allocated) {
  constexpr std::size_t growth_bytes = std::size_t{1} << 18;
  gc::heap heap({.name = "nursery", .least_growth_bytes = growth_bytes});
  gc::root<item> list;
  for (int i = 0; i < test::rounds(200'000); ++i) {
    const gc::local<item> made = heap.make<item>();
    made->next = list.get();
    list = made;
  }
  heap.collect();
  const gc::heap_statistics before = heap.statistics();
  std::size_t most_bytes = 0;
  for (int i = 0; i < test::rounds(1'500'000); ++i) {
    heap.make<item>();
    if (i % 500 == 0) most_bytes = std::max(most_bytes, heap.statistics().block_bytes);
  }
  const gc::heap_statistics after = heap.statistics();
  EXPECT_LE(most_bytes, before.block_bytes + before.live_bytes + before.live_bytes / 10 + 2 * growth_bytes);
  EXPECT_GE(after.cycles - before.cycles, 7u);
  EXPECT_EQ(after.full_cycles, before.full_cycles);
}

// Old garbage is found in time, though the heap does not grow by it.
TEST(pace, a_full_cycle_comes_without_growth) {
  constexpr std::size_t growth_bytes = std::size_t{1} << 18;
  gc::heap heap({.name = "no growth", .least_growth_bytes = growth_bytes});
  gc::weak<item> old;
  {
    gc::local<item> made = heap.make<item>();
    old = gc::weak<item>(made);
    heap.collect_young();
    made = nullptr;
  }
  for (int i = 0; i < 300'000; ++i) heap.make<item>();
  EXPECT_TRUE(old.expired());
}

// A heap that grows stays below the goal and a tenth: what lives and as much again, when all that is made stays.
TEST(pace, what_a_growing_heap_takes_follows_what_lives) {
  gc::heap heap({.name = "growing"});
  gc::root<item> list;
  for (int round = 0; round < test::rounds(40); ++round) {
    for (int i = 0; i < 20'000; ++i) {
      const gc::local<item> made = heap.make<item>();
      made->next = list.get();
      list = made;
      heap.make<item>();
    }
    const std::size_t live = static_cast<std::size_t>(round + 1) * 20'000 * 24;
    ASSERT_LE(heap.statistics().block_bytes, 2 * live + live / 5 + (std::size_t{16} << 20)) << round;
  }
}

}  // namespace
}  // namespace gc_allocation_tests
