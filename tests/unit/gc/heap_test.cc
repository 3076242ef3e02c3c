// heap: figures, listing, paths, arrays, large objects, several heaps.
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tenure/gc.hpp>

#include "library/gc/heap_state.h"

using namespace tenure;

namespace gc_heap_tests {
namespace {

struct item {
  gc::member<item> next;
  int value = 0;
};
struct big {
  gc::member<item> first;
  char bytes[100'000];
  gc::member<item> last;
};
struct thrower {
  explicit thrower(gc::heap& heap) {
    kept = heap.make<item>();
    throw std::runtime_error("no");
  }
  ~thrower() { ADD_FAILURE() << "was never constructed"; }
  TENURE_GC_MEMBERS(thrower, kept);
  gc::member<item> kept;
};

TEST(heap, counts_what_is_live) {
  gc::heap heap({.name = "counted"});
  EXPECT_EQ(heap.name(), "counted");
  gc::local<item> first = heap.make<item>();
  first->next = heap.make<item>();
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 2u);
  EXPECT_EQ(heap.statistics().live_bytes, 2 * 24u);
  EXPECT_EQ(heap.statistics().full_cycles, 1u);
  first->next = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 1u);
  EXPECT_EQ(heap.statistics().freed_objects, 1u);
  first = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().block_bytes, 0u);
}

TEST(heap, lists_its_objects_by_type) {
  gc::heap heap({.name = "listed"});
  const gc::local<item> one = heap.make<item>();
  const auto row = heap.make_array<double>(10);
  std::vector<gc::object_information> found = heap.objects();
  ASSERT_EQ(found.size(), 2u);
  if (found[0].elements == 10) std::swap(found[0], found[1]);
  EXPECT_EQ(found[0].address, one.get());
  EXPECT_NE(found[0].type.find("item"), std::string_view::npos);
  EXPECT_EQ(found[1].address, row->data());
  EXPECT_EQ(found[1].type, "double");
  EXPECT_EQ(found[1].elements, 10u);
}

TEST(heap, tells_the_path_that_keeps_an_object) {
  gc::heap heap({.name = "paths"});
  gc::root<item> start(heap.make<item>());
  start->next = heap.make<item>();
  start->next->next = heap.make<item>();
  const item* last = start->next->next.get();
  const std::vector<gc::path_step> path = heap.path_to(last);
  ASSERT_EQ(path.size(), 3u);
  EXPECT_EQ(path[0].from, "root");
  EXPECT_EQ(path[0].to, start.get());
  EXPECT_EQ(path[1].offset, offsetof(item, next));
  EXPECT_EQ(path[2].to, last);
  start->next = nullptr;
  EXPECT_TRUE(heap.path_to(last).empty());
  const gc::local<item> held(start.get());
  start = nullptr;
  EXPECT_EQ(heap.path_to(held.get())[0].from.rfind("local of thread ", 0), 0u);
  int outside = 0;
  EXPECT_TRUE(heap.path_to(&outside).empty());
}

TEST(heap, arrays_are_one_object) {
  gc::heap heap({.name = "arrays", .verify = true, .poison = true});
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{5000}}) {
    const auto row = heap.make_array<gc::member<item>>(size);
    ASSERT_EQ(row->size(), size);
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ((*row)[i], nullptr);
      (*row)[i] = heap.make<item>();
      (*row)[i]->value = static_cast<int>(i);
    }
    heap.collect();
    EXPECT_EQ(heap.statistics().live_objects, size + 1);
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ((*row)[i]->value, static_cast<int>(i));
    heap.collect_young();
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
}

TEST(heap, large_objects_come_and_go) {
  gc::heap heap({.name = "large", .verify = true});
  gc::local<big> one = heap.make<big>();
  one->first = heap.make<item>();
  one->last = heap.make<item>();
  const gc::local<char> inside(&one->bytes[99'999]);
  one = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 3u);
  auto row = heap.make_array<gc::member<item>>(50'000);
  (*row)[49'999] = heap.make<item>();
  heap.collect_young();
  heap.collect_young();
  (*row)[25'000] = heap.make<item>();
  heap.collect_young();
  EXPECT_EQ(heap.statistics().live_objects, 6u);
  row = nullptr;
  heap.collect();
  EXPECT_EQ(heap.statistics().live_objects, 3u);
}

TEST(heap, a_constructor_that_throws_leaves_garbage_without_a_destructor) {
  gc::heap heap({.name = "throwing", .verify = true});
  EXPECT_THROW(heap.make<thrower>(heap), std::runtime_error);
  heap.collect();
  heap.wait_for_destructors();
  EXPECT_EQ(heap.statistics().live_objects, 0u);
  EXPECT_EQ(heap.statistics().destroyed, 0u);
}

TEST(heap, several_heaps_are_collected_apart) {
  gc::heap one({.name = "one", .verify = true});
  gc::heap two({.name = "two", .plan = gc::plan::mark_sweep, .verify = true});
  gc::local<item> a = one.make<item>();
  gc::local<item> b = two.make<item>();
  a = nullptr;
  b = nullptr;
  const gc::local<item> c = two.make<item>();
  two.collect();
  EXPECT_EQ(two.statistics().live_objects, 1u);
  EXPECT_EQ(one.statistics().cycles, 0u);
  one.collect();
  EXPECT_EQ(one.statistics().live_objects, 0u);
}

// Threads that allocate as fast as they can are stopped at twice the growth: so much before a cycle begins and so much
// while it runs, on top of half the growth that young cycles may leave; and each thread's words.
TEST(heap, threads_that_outrun_the_collector_are_held_back) {
  constexpr std::size_t growth_bytes = std::size_t{2} << 20;
  constexpr std::size_t thread_count = 4;
  gc::heap heap({.name = "outrun", .least_growth_bytes = growth_bytes});
  std::vector<std::size_t> most_bytes(thread_count);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 400'000; ++i) {
        heap.make<item>();
        if (i % 500 == 0) most_bytes[t] = std::max(most_bytes[t], heap.statistics().block_bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(heap.statistics().cycles, 3u);
  EXPECT_GT(heap.statistics().allocated_bytes, 16 * growth_bytes);
  for (const std::size_t most : most_bytes) {
    EXPECT_LE(most, 5 * growth_bytes + 2 * thread_count * 64 * 1024);
  }
}

// Blocks are remembered in time that grows as they do.
TEST(heap, room_for_blocks_grows_by_a_factor) {
  gc::heap heap({.name = "many"});
  std::vector<gc::root<gc::array<char>>> kept;
  const std::vector<std::uint32_t>& large = heap.state().large;
  std::size_t capacity = large.capacity();
  int changes = 0;
  for (int i = 0; i < 500; ++i) {
    kept.emplace_back(heap.make_array<char>(gc::detail::block_bytes));
    changes += large.capacity() != capacity ? 1 : 0;
    capacity = large.capacity();
  }
  EXPECT_EQ(large.size(), 500u);
  EXPECT_LE(changes, 12);
}

TEST(heap_death_test, a_member_across_heaps_ends_the_program) {
  EXPECT_DEATH(
      {
        gc::heap one({.name = "one"});
        gc::heap two({.name = "two"});
        const gc::local<item> a = one.make<item>();
        a->next = two.make<item>();
        one.collect();
      },
      "in another heap: across heaps use gc::root");
}

TEST(heap_death_test, destroying_a_heap_that_is_in_use_ends_the_program) {
  EXPECT_DEATH(
      {
        gc::local<item> kept;
        gc::heap gone({.name = "gone"});
        kept = gone.make<item>();
      },
      "\"gone\" was destroyed while local of thread");
}

TEST(heap_death_test, a_raw_pointer_that_outlived_its_object_is_reported) {
  EXPECT_DEATH(
      {
        gc::heap heap({.name = "stale"});
        item* raw = heap.make<item>().get();
        heap.collect();
        const gc::local<item> again(raw);
        heap.collect();
      },
      "outlived what it pointed to|free");
}

TEST(heap, the_standard_heap_is_there) {
  const gc::local<item> one = gc::make<item>();
  gc::collect();
  EXPECT_GE(gc::heap::standard().statistics().live_objects, 1u);
  EXPECT_EQ(gc::heap::standard().name(), "standard");
  gc::heap::standard().check();
}

// Pages of a block are returned, and its objects keep what they say.
TEST(fragmentation, is_told_and_free_pages_go_back) {
  struct page {
    std::uint64_t words[2000] = {};
  };
  gc::heap heap({.name = "pages"});
  std::vector<gc::root<page>> kept;
  for (std::uint64_t i = 0; i < 64; ++i) {
    const gc::local<page> each = heap.make<page>();
    each->words[1999] = i;
    if (i % 4 == 0) kept.emplace_back(each);
  }
  heap.collect();
  std::size_t free_bytes = 0;
  std::size_t sparse_blocks = 0;
  for (const gc::cell_usage& each : heap.usage()) {
    if (each.cell_bytes < sizeof(page)) continue;
    free_bytes += each.free_bytes;
    sparse_blocks += each.sparse_blocks;
    EXPECT_EQ(each.used_bytes + each.free_bytes, each.blocks * 64 * 1024);
  }
  EXPECT_GE(free_bytes, 16 * 2 * sizeof(page));
  EXPECT_GE(sparse_blocks, 15u);
  const std::size_t returned = heap.return_free_pages();
  EXPECT_GE(returned, 16 * 2 * sizeof(page));
  for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(kept[i]->words[1999], i * 4);
  for (int i = 0; i < 64; ++i) ASSERT_EQ(heap.make<page>()->words[7], 0u);
}

}  // namespace
}  // namespace gc_heap_tests
