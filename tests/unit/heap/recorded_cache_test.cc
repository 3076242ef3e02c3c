// The heap while every allocation and free is told. There is no session here, so nobody listens; what is held to
// account is the heap itself: blocks stay intact, figures add up, caps hold, and switching on and off in the middle
// loses none.
#include "core/heap/recorded_cache.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "core/base/options.h"
#include "core/telemetry/recorder.h"
#include "core/telemetry/telemetry_state.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;
using test::figures;
using test::filled_block;

void record(bool on) {
  const auto mode = on ? wire::recording_mode::drop : wire::recording_mode::off;
  std::uint32_t& word = telemetry::control().recording;
  __atomic_store_n(&word, static_cast<std::uint32_t>(mode), __ATOMIC_RELAXED);
  // Not the bell, which others could ring.
  __atomic_store_n(&telemetry::current_switch, &word, __ATOMIC_RELEASE);
}

class RecordedCache : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    telemetry::set_sample_interval_bytes(0);
  }
  void TearDown() override {
    record(false);
    set_value(option::thread_cache, describe(option::thread_cache).default_value);
    check_heap();
  }
};

// Allocates and frees at random with content in each block; *held is what remains.
void use(dice& random, std::vector<filled_block>& held, int steps, bool switches) {
  for (int i = 0; i < steps; ++i) {
    if (switches && random.one_in(500)) record(random.one_in(2));
    if (held.size() > 400 || (!held.empty() && random.one_in(2))) {
      const std::size_t which = random.below(static_cast<std::uint32_t>(held.size()));
      ASSERT_TRUE(held[which].is_intact());
      deallocate(held[which].start);
      held[which] = held.back();
      held.pop_back();
    } else {
      const std::size_t bytes = random.one_in(50) ? 40'000 + random.below(100'000) : 1 + random.below(3000);
      held.push_back(filled_block::make(bytes, static_cast<unsigned char>(random.below(250) + 1)));
    }
  }
}

void free_intact(std::vector<filled_block>& held) {
  for (const filled_block& block : held) {
    EXPECT_TRUE(block.is_intact());
    deallocate(block.start);
  }
  held.clear();
}

TEST_F(RecordedCache, TakesEveryMallocAndFreeByTheSlowPath) {
  record(true);
  std::thread([] {
    for (int i = 0; i < 100; ++i) deallocate(test::allocate(64));
    EXPECT_TRUE(own_record()->recorded);
    EXPECT_EQ(try_allocate(64), nullptr);
    // It kept what it freed.
    void* freed = test::allocate(64);
    deallocate(freed);
    EXPECT_EQ(test::allocate(64), freed);
    deallocate(freed);
    EXPECT_EQ(try_allocate(64), nullptr);
  }).join();
}

TEST_F(RecordedCache, LosesNoBlockWhateverIsSwitchedWhen) {
  const heap_figures before = figures();
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    std::thread([seed] {
      dice random(seed);
      std::vector<filled_block> held;
      use(random, held, 20'000, true);
      test::expect_to_add_up(figures());
      free_intact(held);
    }).join();
    record(false);
  }
  const heap_figures now = figures();
  EXPECT_EQ(now.live_blocks, before.live_blocks);
  test::expect_to_add_up(now);
}

TEST_F(RecordedCache, CountsEachBlockWhileItIsOn) {
  record(true);
  std::thread([] {
    std::vector<void*> blocks;
    deallocate(test::allocate(100));
    const heap_figures before = figures();
    for (int i = 0; i < 1000; ++i) blocks.push_back(test::allocate(100));
    heap_figures now = figures();
    EXPECT_EQ(now.live_blocks - before.live_blocks, 1000u);
    test::free_all(blocks);
    now = figures();
    EXPECT_EQ(now.live_blocks, before.live_blocks);
    test::expect_to_add_up(now);
  }).join();
}

TEST_F(RecordedCache, HoldsNoMoreThanAThreadMay) {
  record(true);
  constexpr std::int64_t limit_bytes = 64 * 1024;
  set_value(option::thread_cache, limit_bytes);
  std::thread([] {
    const heap_figures before = figures();
    std::vector<void*> blocks;
    for (std::size_t bytes = 16; bytes <= 16384; bytes *= 2) {
      for (int i = 0; i < 50; ++i) blocks.push_back(test::allocate(bytes));
    }
    test::free_all(blocks);
    EXPECT_LE(figures().cached_bytes - before.cached_bytes, static_cast<std::uint64_t>(limit_bytes));
    EXPECT_EQ(figures().cached_bytes - before.cached_bytes, own_record()->recorded_bytes);
  }).join();
}

TEST_F(RecordedCache, ServesThreadsThatHandBlocksToEachOther) {
  const heap_figures before = figures();
  std::vector<std::vector<filled_block>> held(4);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        dice random(100 * static_cast<std::uint32_t>(round) + t);
        use(random, held[t], 10'000, t == 0);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::rotate(held.begin(), held.begin() + 1, held.end());
  }
  for (auto& blocks : held) free_intact(blocks);
  EXPECT_EQ(figures().live_blocks, before.live_blocks);
}

}  // namespace
}  // namespace tenure::core
