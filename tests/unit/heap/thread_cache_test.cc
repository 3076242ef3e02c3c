#include "core/heap/thread_cache.h"

#include <algorithm>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "core/base/options.h"
#include "core/heap/central_list.h"
#include "core/heap/fork.h"
#include "core/os/processors.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;
using test::figures;

// No samples here: each figure is one of thread caches alone.
class ThreadCache : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    telemetry::set_sample_interval_bytes(0);
  }
  void TearDown() override {
    set_value(option::thread_cache, describe(option::thread_cache).default_value);
    check_heap();
  }
};

// In a thread of its own, which begins with an empty cache and ends.
template <class Work>
void in_a_thread(Work work) {
  give_up_parked_caches(0);
  std::thread thread([&] {
    telemetry::set_sample_interval_bytes(0);
    if (own_record() != nullptr) own_record()->clock.reset();
    work();
  });
  thread.join();
}

TEST_F(ThreadCache, EveryBlockIsWithTheProgramOrCounted) {
  in_a_thread([] {
    std::vector<void*> blocks;
    const heap_figures before = figures();
    for (int i = 0; i < 1000; ++i) blocks.push_back(test::allocate(100));
    heap_figures now = figures();
    EXPECT_EQ(now.live_blocks - before.live_blocks, 1000u);
    EXPECT_EQ(now.live_bytes - before.live_bytes, 1000u * class_bytes[class_of(100)]);
    test::expect_to_add_up(now);
    test::free_all(blocks);
    now = figures();
    EXPECT_EQ(now.live_blocks, before.live_blocks);
    test::expect_to_add_up(now);
  });
}

TEST_F(ThreadCache, ListsStartSmallAndGrowWithUse) {
  in_a_thread([] {
    constexpr std::size_t size_class = class_of(64);
    void* first = test::allocate(64);
    const std::uint64_t after_one = figures().classes[size_class].cached_blocks;
    EXPECT_LE(after_one, 4u);
    std::vector<void*> blocks;
    std::uint64_t most = 0;
    for (int i = 0; i < 5000; ++i) {
      blocks.push_back(test::allocate(64));
      if (i % 97 == 0) most = std::max(most, figures().classes[size_class].cached_blocks);
    }
    EXPECT_GT(most, after_one);
    EXPECT_LE(most, largest_batch(size_class));
    test::free_all(blocks);
    deallocate(first);
  });
}

TEST_F(ThreadCache, ThreadThatEndsLeavesNothingBehind) {
  const heap_figures before = figures();
  for (int round = 0; round < 20; ++round) {
    in_a_thread([round] {
      std::vector<void*> blocks;
      for (std::size_t bytes = 16; bytes <= 32768; bytes += 16 * (1 + static_cast<std::size_t>(round))) {
        blocks.push_back(test::allocate(bytes));
      }
      test::free_all(blocks);
    });
  }
  purge();
  const heap_figures after = figures();
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.thread_caches, before.thread_caches);
  EXPECT_LE(after.cached_bytes, before.cached_bytes);
  EXPECT_EQ(after.batch_bytes, 0u);
  test::expect_to_add_up(after);
  EXPECT_LE(after.metadata_bytes - before.metadata_bytes, 256u * 1024) << "each thread left a record";
}

TEST_F(ThreadCache, BlocksFreedByAnotherThreadComeBack) {
  const heap_figures before = figures();
  std::vector<void*> blocks;
  in_a_thread([&] {
    for (int i = 0; i < 4000; ++i) blocks.push_back(test::allocate(200));
  });
  EXPECT_EQ(figures().live_blocks - before.live_blocks, 4000u);
  in_a_thread([&] { test::free_all(blocks); });
  EXPECT_EQ(figures().live_blocks, before.live_blocks);
  std::set<void*> again;
  in_a_thread([&] {
    for (int i = 0; i < 1000; ++i) again.insert(test::allocate(200));
    EXPECT_EQ(again.size(), 1000u);
    for (void* block : again) deallocate(block);
  });
}

// A cap is a promise, whatever the load: hoarding, freeing, blocks from others' batches, many classes.
class ThreadCacheLimit : public ThreadCache, public ::testing::WithParamInterface<std::int64_t> {};

TEST_P(ThreadCacheLimit, IsNeverPassed) {
  const std::int64_t limit = GetParam();
  // Full batches for everybody else's taking.
  in_a_thread([] {
    std::vector<void*> blocks;
    for (std::size_t c = 1; c < class_count; ++c) {
      for (std::uint32_t i = 0; i < 3 * largest_batch(c); ++i) blocks.push_back(test::allocate(class_bytes[c]));
    }
    test::free_all(blocks);
  });
  flush_own_cache();
  give_up_parked_caches(0);
  const std::uint64_t of_this_thread = figures().cached_bytes;
  ASSERT_TRUE(set_value(option::thread_cache, limit));
  in_a_thread([&] {
    dice random(11);
    std::vector<void*> blocks;
    for (int round = 0; round < 60; ++round) {
      const bool many_classes = round % 2 == 0;
      const std::size_t size_class = 1 + random.below(class_count - 1);
      for (int i = 0; i < 300; ++i) {
        blocks.push_back(test::allocate(class_bytes[many_classes ? 1 + random.below(class_count - 1) : size_class]));
      }
      const heap_figures full = figures();
      ASSERT_LE(full.cached_bytes - of_this_thread, static_cast<std::uint64_t>(limit)) << "after allocating";
      for (std::size_t i = 0; i < 280; ++i) {
        std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
        deallocate(blocks.back());
        blocks.pop_back();
      }
      const heap_figures now = figures();
      ASSERT_LE(now.cached_bytes - of_this_thread, static_cast<std::uint64_t>(limit)) << "after freeing";
      test::expect_to_add_up(now);
    }
    test::free_all(blocks);
    ASSERT_LE(figures().cached_bytes - of_this_thread, static_cast<std::uint64_t>(limit));
  });
}

INSTANTIATE_TEST_SUITE_P(Limits, ThreadCacheLimit, ::testing::Values(0, 1000, 64 * 1024, 512 * 1024, 4 << 20));

TEST_F(ThreadCache, ManyThreadsHaveAShareEach) {
  constexpr std::ptrdiff_t count = 64;
  const std::uint64_t most = static_cast<std::uint64_t>(value(option::thread_cache));
  const std::uint64_t before = figures().cached_bytes;
  std::barrier together(count + 1);
  std::vector<std::thread> threads;
  for (std::ptrdiff_t number = 0; number < count; ++number) {
    threads.emplace_back([&] {
      std::vector<void*> blocks{test::allocate(16)};
      together.arrive_and_wait();  // all are there before one of them grows
      for (int round = 0; round < 40; ++round) {
        for (std::size_t c = 1; c < class_count; c += 3) {
          for (int i = 0; i < 16; ++i) blocks.push_back(test::allocate(class_bytes[c]));
        }
        test::free_all(blocks);
      }
      together.arrive_and_wait();
      together.arrive_and_wait();
    });
  }
  together.arrive_and_wait();
  together.arrive_and_wait();
  const std::uint64_t share = std::max<std::uint64_t>(most / count * os::processor_count(), 32 * 1024);
  EXPECT_LE(figures().cached_bytes - before, count * std::min(share, most));
  together.arrive_and_wait();
  for (std::thread& each : threads) each.join();
}

TEST_F(ThreadCache, ClassesThatAreNoLongerUsedAreGivenUp) {
  in_a_thread([] {
    constexpr std::size_t once = class_of(1024);
    std::vector<void*> blocks;
    for (int i = 0; i < 200; ++i) blocks.push_back(test::allocate(1024));
    test::free_all(blocks);
    ASSERT_GT(figures().classes[once].cached_blocks, 0u);
    for (int i = 0; i < 300000; ++i) blocks.push_back(test::allocate(64));
    EXPECT_EQ(figures().classes[once].cached_blocks, 0u);
    test::free_all(blocks);
  });
}

TEST_F(ThreadCache, FlushGivesEverythingUp) {
  in_a_thread([] {
    const std::uint64_t before = figures().cached_bytes;
    std::vector<void*> blocks;
    for (std::size_t c = 1; c < class_count; ++c) blocks.push_back(test::allocate(class_bytes[c]));
    test::free_all(blocks);
    ASSERT_GT(figures().cached_bytes, before);
    flush_own_cache();
    EXPECT_EQ(figures().cached_bytes, before);
    deallocate(test::allocate(64));  // and goes on
  });
}

// As in_a_thread(), with the cache of the thread before.
template <class Work>
void in_the_next_thread(Work work) {
  std::thread(work).join();
}

TEST_F(ThreadCache, TheNextThreadGoesOnWithWhatTheLastOneHad) {
  constexpr std::size_t bytes[] = {48, 8192};  // a class with two lists, one with one
  give_up_parked_caches(0);
  const heap_figures before = figures();
  in_a_thread([&] {
    std::vector<void*> blocks;
    for (int i = 0; i < 12; ++i) blocks.push_back(test::allocate(bytes[i % 2]));
    test::free_all(blocks);
  });
  const heap_figures parked = figures();
  EXPECT_GT(parked.cached_bytes, before.cached_bytes);
  EXPECT_EQ(parked.thread_caches, before.thread_caches);
  EXPECT_EQ(parked.live_blocks, before.live_blocks);
  test::expect_to_add_up(parked);
  in_the_next_thread([&] {
    ASSERT_NE(own_record(), nullptr);
    EXPECT_EQ(figures().cached_bytes, parked.cached_bytes);
    std::vector<void*> blocks;
    for (const std::size_t size : bytes) blocks.push_back(test::allocate(size));
    EXPECT_EQ(figures().live_blocks, before.live_blocks + blocks.size());
    test::expect_to_add_up(figures());
    test::free_all(blocks);
    flush_own_cache();
    EXPECT_EQ(figures().cached_bytes, before.cached_bytes);  // it was this thread's
  });
  EXPECT_EQ(figures().live_blocks, before.live_blocks);
}

TEST_F(ThreadCache, ThreadsThatFollowEachOtherLoseNothingOfTheirCaches) {
  const heap_figures before = figures();
  std::vector<test::filled_block> blocks;
  dice random(23);
  for (int number = 0; number < 300; ++number) {
    in_the_next_thread([&] {
      for (int i = 0; i < 60; ++i) {
        if (blocks.size() < 200 || random.below(2) == 0) {
          blocks.push_back(test::filled_block::make(1 + random.below(number % 7 == 0 ? 20000 : 1500),
                                                    static_cast<unsigned char>(random())));
        } else {
          std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
          ASSERT_TRUE(blocks.back().is_intact());
          deallocate(blocks.back().start);
          blocks.pop_back();
        }
      }
    });
    if (number % 50 == 0) give_up_parked_caches(0);
    if (number % 20 == 0) test::expect_to_add_up(figures());
  }
  for (const test::filled_block& block : blocks) {
    ASSERT_TRUE(block.is_intact());
    deallocate(block.start);
  }
  EXPECT_EQ(figures().live_blocks, before.live_blocks);
  test::expect_to_add_up(figures());
}

TEST_F(ThreadCache, FewCachesWaitHoweverManyThreadsEnd) {
  flush_own_cache();
  give_up_parked_caches(0);
  const std::uint64_t before = figures().cached_bytes;
  constexpr std::ptrdiff_t count = 48;
  std::barrier together(count);
  std::vector<std::thread> threads;
  for (std::ptrdiff_t number = 0; number < count; ++number) {
    threads.emplace_back([&] {
      std::vector<void*> blocks;
      for (std::size_t c = 1; c < class_count; c += 2) blocks.push_back(test::allocate(class_bytes[c]));
      test::free_all(blocks);
      together.arrive_and_wait();
    });
  }
  for (std::thread& each : threads) each.join();
  const heap_figures parked = figures();
  EXPECT_GT(parked.cached_bytes, before);
  EXPECT_LE(parked.cached_bytes - before, std::min(2 * os::processor_count(), 16u) * std::uint64_t{256 * 1024});
  test::expect_to_add_up(parked);
  give_up_parked_caches(std::uint64_t{1} << 60);  // none is so old
  EXPECT_EQ(figures().cached_bytes, parked.cached_bytes);
  give_up_parked_caches(0);
  EXPECT_EQ(figures().cached_bytes, before);
  test::expect_to_add_up(figures());
}

TEST_F(ThreadCache, AParkedCacheIsNotTakenOverBeyondTheLimit) {
  flush_own_cache();
  in_a_thread([] { deallocate(test::allocate(1000)); });
  ASSERT_GT(figures().cached_bytes, 0u);
  ASSERT_TRUE(set_value(option::thread_cache, 0));
  in_the_next_thread([] {
    void* const block = test::allocate(1000);
    EXPECT_EQ(figures().cached_bytes, 0u);
    deallocate(block);
    EXPECT_EQ(figures().cached_bytes, 0u);
  });
}

TEST_F(ThreadCache, ParkedCachesGoOnInTheChildOfFork) {
  give_up_parked_caches(0);
  const heap_figures flushed = figures();
  in_a_thread([&] {
    std::vector<void*> blocks;
    for (int i = 0; i < 6; ++i) blocks.push_back(test::allocate(48));
    test::free_all(blocks);
  });
  const heap_figures parked = figures();
  before_fork();
  const pid_t child = ::fork();
  if (child == 0) {
    after_fork_in_child();
    EXPECT_EQ(figures().thread_caches, parked.thread_caches);
    EXPECT_EQ(figures().cached_bytes, parked.cached_bytes);
    in_the_next_thread([&] {
      ASSERT_NE(own_record(), nullptr);
      EXPECT_EQ(figures().cached_bytes, parked.cached_bytes);
      test::allocate(48);
      EXPECT_EQ(figures().live_blocks, parked.live_blocks + 1);
      test::expect_to_add_up(figures());
      flush_own_cache();
      EXPECT_EQ(figures().cached_bytes, flushed.cached_bytes);
    });
    check_heap();
    ::_exit(HasFailure() ? 1 : 0);
  }
  after_fork_in_parent();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(ThreadCache, ThreadsThatPassBlocksAroundLoseNone) {
  const heap_figures before = figures();
  constexpr std::size_t slots = 512;
  std::vector<void*> shared(slots, nullptr);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      dice random(t + 100);
      for (int i = 0; i < 40000; ++i) {
        const std::size_t bytes = 8 + random.below(600);
        auto* block = static_cast<std::uint64_t*>(test::allocate(bytes));
        *block = bytes;
        void* old = __atomic_exchange_n(&shared[random.below(slots)], static_cast<void*>(block), __ATOMIC_ACQ_REL);
        if (old == nullptr) continue;
        ASSERT_LE(*static_cast<std::uint64_t*>(old), usable_bytes(old));
        deallocate(old);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (void* block : shared) deallocate(block);
  const heap_figures after = figures();
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  test::expect_to_add_up(after);
}

}  // namespace
}  // namespace tenure::core
