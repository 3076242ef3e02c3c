// Thread caches, one thread at a time at their yield points: batches that change hands, caches that wait for a thread.
#include <barrier>
#include <thread>

#include "heap_scenario.h"

namespace tenure::core {

// Where turns are long, a thread gets through whole operations between two steps of another.
void yield_point() noexcept {
  if (takes_turns && turn_dice->one_in(turn_length)) testing::systematic::yield();
}

namespace {

TEST_F(HeapSystematic, BatchesChangeHandsWhole) {
  const std::uint64_t before = figures().live_blocks;
  for_seeds(1500, [&](std::uint32_t seed) {
    program state;
    scenario threads(seed);
    for (std::uint32_t t = 0; t < 3; ++t) {
      threads.add([&state, seed, t] {
        dice random(seed * 4 + t);
        for (int i = 0; i < 12; ++i) {
          state.allocate_into(random, 4096);
          if (random.one_in(6)) flush_own_cache();  // as a thread does that ends
        }
      });
    }
    threads.run();
    for (void*& block : state.shared) state.release(std::exchange(block, nullptr));
    const heap_figures now = figures();
    EXPECT_EQ(now.live_blocks, before);
    EXPECT_TRUE(adds_up(now));
  });
}

// Three threads that end with something in their caches.
void leave_caches(std::uint32_t seed) {
  std::barrier together(3);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&together, seed, t] {
      dice random(seed * 8 + t);
      std::vector<void*> blocks;
      for (int i = 0; i < 4; ++i)
        blocks.push_back(allocate(random.one_in(2) ? 48 : 8192, wire::allocation_entry::malloc));
      for (void* block : blocks) deallocate(block);
      together.arrive_and_wait();  // none takes over what another leaves
    });
  }
  for (std::thread& each : threads) each.join();
}

TEST_F(HeapSystematic, ParkedCachesAreTakenOverOrGivenUpAndSeenAllTheTime) {
  const std::uint64_t before = figures().live_blocks;
  for_seeds(300, [&](std::uint32_t seed) {
    leave_caches(seed);
    program state;
    scenario threads(seed);
    const bool is_exact = seed % 2 == 0;  // nobody allocates while it is counted
    for (std::uint32_t t = 0; t < 2; ++t) {
      threads.add([&state, seed, t, is_exact] {
        dice random(seed * 4 + t);
        if (is_exact) return static_cast<void>(own_record());
        for (int i = 0; i < 4; ++i) state.allocate_into(random, random.one_in(2) ? 48 : 8192);
      });
    }
    threads.add([] {
      for (int i = 0; i < 2; ++i) give_up_parked_caches(0);
    });
    threads.add([before, is_exact] {
      for (int i = 0; i < 3; ++i) {
        const heap_figures now = figures();
        EXPECT_TRUE(adds_up(now));
        if (is_exact) {
          EXPECT_EQ(now.live_blocks, before);
        }
      }
    });
    threads.run();
    for (void*& block : state.shared) state.release(std::exchange(block, nullptr));
    const heap_figures now = figures();
    EXPECT_EQ(now.live_blocks, before);
    EXPECT_TRUE(adds_up(now));
  });
}

}  // namespace
}  // namespace tenure::core
