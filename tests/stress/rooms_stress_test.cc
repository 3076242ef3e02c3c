// The stress shapes on the heap's own functions, linked in without malloc: so ThreadSanitizer and AddressSanitizer see
// the heap's structures, and keep their own malloc for the test around it.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "core/base/options.h"
#include "core/heap/heap.h"
#include "core/heap/named_heap.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "exchange.h"

namespace {

using namespace tenure::core;
using tenure::testing::heap_functions;
using tenure::testing::stress_size;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || !defined(NDEBUG)
constexpr std::uint64_t operations = 8000;
#else
constexpr std::uint64_t operations = 60000;
#endif

const heap_functions rooms = {
    [](std::size_t bytes) { return tenure::core::allocate(bytes, tenure::wire::allocation_entry::malloc); },
    [](void* block) { deallocate(block); }, [](void* block, std::size_t bytes) { return reallocate(block, bytes); }};

class rooms_stress_test : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static void SetUpTestSuite() { initialize(); }
  void TearDown() override { check_heap(); }
};

TEST_P(rooms_stress_test, blocks_exchanged_between_threads_keep_their_content) {
  EXPECT_EQ(exchange_blocks(rooms, {4, operations}, GetParam()), 0u);
}
TEST_P(rooms_stress_test, blocks_handed_to_a_consumer_keep_their_content) {
  EXPECT_EQ(produce_and_consume(rooms, {4, operations}, GetParam()), 0u);
}
TEST_P(rooms_stress_test, blocks_of_threads_that_ended_keep_their_content) {
  EXPECT_EQ(storm_of_threads(rooms, {6, operations / 4}, GetParam()), 0u);
}
TEST_P(rooms_stress_test, mixed_sizes_keep_their_content_while_most_blocks_are_sampled) {
  set_value(option::sample_interval, 4096);
  EXPECT_EQ(mix_sizes(rooms, {4, operations}, GetParam()), 0u);
  set_value(option::sample_interval, 512 * 1024);
}

// Somebody looks at the heap and empties caches while the others work.
TEST_P(rooms_stress_test, the_heap_can_be_walked_and_purged_while_threads_exchange_blocks) {
  std::atomic<bool> done{false};
  std::uint64_t walks = 0;
  std::thread observer([&] {
    while (!done) {
      walk_totals totals{};
      if (walk_live_blocks([](void*, const live_block& block) { return block.bytes != 0; }, nullptr, &totals)) ++walks;
      static heap_figures figures;
      read_figures(&figures);
      purge();
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(exchange_blocks(rooms, {3, operations / 2}, GetParam()), 0u);
  done = true;
  observer.join();
  EXPECT_GT(walks, 0u);
}

TEST_P(rooms_stress_test, a_named_heap_serves_many_threads) {
  static named_heap* heap = nullptr;
  heap = create_named_heap("stress");
  ASSERT_NE(heap, nullptr);
  const heap_functions named = {[](std::size_t bytes) { return heap->allocate(bytes, 16); },
                                [](void* block) { deallocate(block); },
                                [](void* block, std::size_t bytes) { return reallocate(block, bytes); }};
  EXPECT_EQ(exchange_blocks(named, {4, operations / 4}, GetParam()), 0u);
  EXPECT_EQ(heap->statistics().live_blocks, 0u);
  destroy_named_heap(heap);
}

INSTANTIATE_TEST_SUITE_P(seed, rooms_stress_test, ::testing::Values(11, 12));

}  // namespace
