#include "core/heap/named_heap.h"

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "core/base/options.h"
#include "core/budget/charge.h"
#include "core/budget/shrinker.h"
#include "core/os/virtual_memory.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

class NamedHeap : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    heap = create_named_heap("requests");
    ASSERT_NE(heap, nullptr);
  }
  void TearDown() override {
    if (heap != nullptr) destroy_named_heap(heap);
    EXPECT_EQ(test::figures().named_span_bytes, 0u);
    check_heap();
  }
  named_heap* heap = nullptr;
};

TEST_F(NamedHeap, CountsWhatIsLiveExactly) {
  dice random(2);
  std::map<void*, std::size_t> live;
  std::uint64_t live_bytes = 0;
  std::uint64_t peak_bytes = 0;
  std::uint64_t allocations = 0;
  for (int i = 0; i < 20000; ++i) {
    if (live.size() < 50 || random.below(2) == 0) {
      const std::size_t bytes = random.one_in(100) ? 1 + random.below(200000) : 1 + random.below(2000);
      const std::size_t alignment = std::size_t{1} << random.below(13);
      void* block = heap->allocate(bytes, alignment);
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u);
      const std::size_t usable = usable_bytes(block);
      ASSERT_GE(usable, bytes);
      std::memset(block, 0x5a, bytes);
      live_bytes += usable;
      peak_bytes = std::max(peak_bytes, live_bytes);
      ++allocations;
      ASSERT_TRUE(live.emplace(block, usable).second);
    } else {
      auto at = live.begin();
      std::advance(at, random.below(static_cast<std::uint32_t>(live.size())));
      live_bytes -= at->second;
      deallocate(at->first);
      live.erase(at);
    }
  }
  const named_heap_statistics counts = heap->statistics();
  EXPECT_EQ(counts.live_bytes, live_bytes);
  EXPECT_EQ(counts.live_blocks, live.size());
  EXPECT_EQ(counts.peak_live_bytes, peak_bytes);
  EXPECT_EQ(counts.allocations, allocations);
  heap->check();
  const heap_figures now = test::figures();
  EXPECT_EQ(now.named_live_bytes, live_bytes);
  EXPECT_EQ(now.named_span_bytes, counts.span_bytes);
  test::expect_to_add_up(now);
}

TEST_F(NamedHeap, DestroyFreesAllAtOnce) {
  const heap_figures before = test::figures();
  for (int i = 0; i < 5000; ++i) heap->allocate(1 + static_cast<std::size_t>(i) * 7, 16);
  EXPECT_GT(test::figures().named_span_bytes, 5000u * 16000);
  destroy_named_heap(heap);
  const heap_figures after = test::figures();
  EXPECT_EQ(after.named_span_bytes, 0u);
  EXPECT_EQ(after.named_live_blocks, 0u);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  test::expect_to_add_up(after);
  heap = create_named_heap("next");  // in the same memory: nothing of the old one is left
  EXPECT_EQ(heap->statistics().live_blocks, 0u);
  EXPECT_STREQ(heap->name(), "next");
  heap->check();
}

TEST_F(NamedHeap, NameIsCutAtItsCapacity) {
  const std::string name(200, 'x');
  named_heap* other = create_named_heap(name.c_str());
  EXPECT_EQ(other->name(), name.substr(0, named_heap::name_capacity_bytes - 1));
  destroy_named_heap(other);
}

TEST_F(NamedHeap, BlocksLieApartFromTheDefaultHeaps) {
  void* ours = heap->allocate(64, 16);
  void* plain = test::allocate(64);
  EXPECT_NE(find_span(ours), find_span(plain));
  EXPECT_EQ(find_span(ours)->owner, heap);
  deallocate(ours);
  deallocate(plain);
}

TEST_F(NamedHeap, ImpossibleSizesAreRefused) {
  EXPECT_EQ(heap->allocate(~std::size_t{0}, 16), nullptr);
  EXPECT_EQ(heap->allocate(static_cast<std::size_t>(PTRDIFF_MAX), 16), nullptr);
  EXPECT_EQ(heap->allocate(1, std::size_t{1} << 62), nullptr);
  void* nothing = heap->allocate(0, 1);
  EXPECT_NE(nothing, nullptr);
  deallocate(nothing);
}

TEST_F(NamedHeap, RefusalLeavesTheCountsAlone) {
  const named_heap_statistics before = heap->statistics();
  os::fail_from_nth_call(1);
  EXPECT_EQ(heap->allocate(std::size_t{1} << 30, 16), nullptr);
  os::fail_from_nth_call(0);
  EXPECT_EQ(heap->statistics().live_bytes, before.live_bytes);
  EXPECT_EQ(heap->statistics().allocations, before.allocations);
  heap->check();
}

TEST_F(NamedHeap, SamplesOfADestroyedHeapAreGone) {
  const auto live_samples = [] {
    return telemetry::visit_live_samples([](void*, const telemetry::live_sample&) {}, nullptr);
  };
  set_value(option::sample_spacing, 0);
  telemetry::set_sample_interval_bytes(4096);
  std::thread([&] {
    for (int i = 0; i < 2000; ++i) heap->allocate(1000, 16);
  }).join();
  telemetry::set_sample_interval_bytes(0);
  EXPECT_GT(live_samples(), 50u);
  destroy_named_heap(heap);
  heap = nullptr;
  EXPECT_EQ(live_samples(), 0u);
}

TEST_F(NamedHeap, ThreadsShareItAndTheCountsStayExact) {
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      dice random(t);
      std::vector<void*> mine;
      for (int i = 0; i < 5000; ++i) {
        if (mine.size() < 20 || random.below(2) == 0) {
          mine.push_back(heap->allocate(1 + random.below(40000), 16));
          std::memset(mine.back(), static_cast<int>(t), 1);
        } else {
          ASSERT_EQ(*static_cast<unsigned char*>(mine.back()), t);
          deallocate(mine.back());
          mine.pop_back();
        }
      }
      test::free_all(mine);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heap->statistics().live_blocks, 0u);
  EXPECT_EQ(heap->statistics().live_bytes, 0u);
  EXPECT_EQ(heap->statistics().span_bytes, 0u);
  heap->check();
}

// Figures of its account, beside those of the heap itself.
void expect_account_to_agree(named_heap* heap) {
  const named_heap_statistics now = heap->statistics();
  EXPECT_EQ(heap->account()->held_bytes, now.span_bytes);
  EXPECT_EQ(heap->account()->use.used_bytes, now.live_bytes);
  EXPECT_EQ(heap->account()->use.used_blocks, now.live_blocks);
  EXPECT_EQ(heap->account()->use.allocations, now.allocations);
}

TEST(named_heap, charges_its_account_with_what_it_holds) {
  named_heap* heap = create_named_heap("accounted");
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 3000; ++i) blocks.push_back(heap->allocate(i % 100 == 0 ? 100'000 : 8 + i % 700, 8));
  expect_account_to_agree(heap);
  for (std::size_t i = 0; i < blocks.size(); i += 2) deallocate(blocks[i]);
  expect_account_to_agree(heap);
  const std::uint64_t others = heap->account()->held_blocks;
  EXPECT_GT(others, 0u);
  heap->free_all();
  expect_account_to_agree(heap);
  EXPECT_EQ(heap->account()->held_bytes, 0u);
  EXPECT_EQ(heap->account()->held_blocks, 0u);
  budget::account* account = heap->account();
  destroy_named_heap(heap);
  EXPECT_FALSE(budget::is_open(account));
}

TEST(named_heap, stays_within_its_accounts_limit) {
  named_heap* heap = create_named_heap("bounded");
  budget::set_limits(heap->account(), wire::no_limit, 1 << 20);
  std::vector<void*> blocks;
  while (void* block = heap->allocate(blocks.size() % 50 == 49 ? 40'000 : 500, 8)) blocks.push_back(block);
  EXPECT_LE(heap->statistics().span_bytes, 1u << 20);
  EXPECT_GT(heap->statistics().live_bytes, 900'000u);
  EXPECT_GE(heap->account()->refusals, 1u);
  expect_account_to_agree(heap);
  // A shrinker may free blocks of this very heap: it runs with no lock of the heap's held.
  const auto shrink = [](void* context, const budget::pressure&) -> std::uint64_t {
    auto* all = static_cast<std::vector<void*>*>(context);
    const std::size_t count = all->size() / 2;
    for (std::size_t i = 0; i < count; ++i) {
      deallocate(all->back());
      all->pop_back();
    }
    return count;
  };
  const std::uint32_t handle = budget::register_shrinker(heap->account(), 0, shrink, &blocks);
  void* large = heap->allocate(300'000, 8);
  EXPECT_NE(large, nullptr);
  EXPECT_LE(heap->account()->peak_held_bytes, 1u << 20);
  budget::unregister_shrinker(handle);
  expect_account_to_agree(heap);
  heap->check();
  destroy_named_heap(heap);
}

}  // namespace
}  // namespace tenure::core
