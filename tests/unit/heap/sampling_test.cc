// Where samples fall, and that they are found again.
#include "core/heap/sampled.h"

#include <cmath>
#include <thread>
#include <vector>

#include "core/base/options.h"
#include "core/heap/thread_cache.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using ::tenure::test::dice;

struct live_count {
  std::size_t samples = 0;
  double weight_bytes = 0;  // what they stand for
};

live_count live_samples() {
  live_count count;
  telemetry::visit_live_samples(
      [](void* context, const telemetry::live_sample& sample) {
        auto* sum = static_cast<live_count*>(context);
        ++sum->samples;
        const double usable = static_cast<double>(sample.usable_bytes);
        sum->weight_bytes += usable / -std::expm1(-usable / static_cast<double>(sample.interval_bytes));
      },
      &count);
  return count;
}

bool is_sample(const void* block) {
  const span* home = find_span(block);
  return home->owner == &sampled_heap() || home->sampled;
}

class Sampling : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    set_value(option::sample_spacing, 0);  // samples may follow each other as fast as they like
  }
  void TearDown() override {
    telemetry::set_sample_interval_bytes(0);
    EXPECT_EQ(live_samples().samples, 0u) << "a sample outlived its block";
    sampled_heap().check();
    check_heap();
  }
  template <class Work>
  static void in_a_thread(std::uint64_t interval_bytes, Work work) {
    telemetry::set_sample_interval_bytes(interval_bytes);
    give_up_parked_caches(0);
    std::thread([&] {
      ASSERT_NE(own_record(), nullptr);
      work();
    }).join();
  }
};

// The thread's source of distances is copied before the first allocation and run beside the heap.
TEST_F(Sampling, EverySampleLandsWhereTheClockSays) {
  for (const std::size_t bytes : {16u, 48u, 1000u, 8192u, 32768u}) {
    in_a_thread(20000, [bytes] {
      const auto size = static_cast<std::int64_t>(class_bytes[class_of(bytes)]);
      telemetry::sample_clock clock = own_record()->clock;
      const auto blocks_to_next = [&clock, size] {
        clock.next();
        return (clock.bytes_until_sample + size - 1) / size;
      };
      std::int64_t until_sample = blocks_to_next();
      const int count = static_cast<int>(8000000 / size);
      dice random(17);
      std::vector<void*> blocks;
      std::vector<void*> kept_samples;
      int samples = 0;
      for (int i = 0; i < count; ++i) {
        const bool due = --until_sample == 0;
        if (due) until_sample = blocks_to_next();
        void* block = test::allocate(bytes);
        ASSERT_EQ(is_sample(block), due) << "block " << i << " of " << size << " bytes";
        samples += due ? 1 : 0;
        (due ? kept_samples : blocks).push_back(block);
        // Now nothing, now a few, now everything is freed: the list is short, middling, full and spilled over.
        while (!blocks.empty() && random.below(64) < static_cast<std::uint32_t>(i / 200 % 64)) {
          deallocate(blocks.back());
          blocks.pop_back();
        }
      }
      EXPECT_GT(samples, 150);
      EXPECT_EQ(live_samples().samples, static_cast<std::size_t>(samples));
      test::free_all(blocks);
      test::free_all(kept_samples);
    });
  }
}

TEST_F(Sampling, LargeBlocksFollowAClockOfTheirOwn) {
  constexpr std::size_t pages = largest_small_bytes / page_size_bytes + 2;
  in_a_thread(200000, [] {
    telemetry::sample_clock clock = own_record()->clock;
    for (int i = 0; i < 300; ++i) {
      clock.bytes_until_sample -= static_cast<std::int64_t>(pages * page_size_bytes);
      const bool due = clock.bytes_until_sample <= 0;
      if (due) clock.next();
      void* block = test::allocate((pages - 1) * page_size_bytes + 1);
      ASSERT_EQ(is_sample(block), due);
      deallocate(block);
    }
  });
}

// Mixed sizes and frees in between: as many samples as a Poisson process has, standing for the bytes there were.
TEST_F(Sampling, CountAndWeightAreRightOnAverage) {
  constexpr std::uint64_t interval_bytes = 65536;
  in_a_thread(interval_bytes, [] {
    dice random(3);
    std::vector<void*> kept;
    double expected = 0;
    double variance = 0;
    double bytes_kept = 0;
    for (int i = 0; i < 150000; ++i) {
      const std::size_t bytes = 1 + random.below(random.one_in(20) ? 20000 : 700);
      void* block = test::allocate(bytes);
      if (random.below(2) == 0) {
        deallocate(block);
        continue;
      }
      kept.push_back(block);
      const double usable = static_cast<double>(usable_bytes(block));
      const double p = -std::expm1(-usable / static_cast<double>(interval_bytes));
      expected += p;
      variance += p * (1 - p);
      bytes_kept += usable;
    }
    const live_count live = live_samples();
    EXPECT_NEAR(static_cast<double>(live.samples), expected, 5 * std::sqrt(variance));
    const double relative_error = 5 / std::sqrt(expected);
    EXPECT_NEAR(live.weight_bytes / bytes_kept, 1.0, relative_error);
    test::free_all(kept);
  });
}

// Where samples would come too fast the interval doubles, and each sample stands for more.
TEST_F(Sampling, SpacingThinsTheSamplesAndKeepsTheWeightRight) {
  const auto take = [](std::int64_t spacing_us) {
    set_value(option::sample_spacing, spacing_us);
    live_count live;
    in_a_thread(4096, [&] {
      std::vector<void*> blocks;
      for (int i = 0; i < 300000; ++i) blocks.push_back(test::allocate(1000));
      live = live_samples();
      test::free_all(blocks);
    });
    return live;
  };
  const live_count all = take(0);
  const live_count thinned = take(1000000);
  EXPECT_LT(thinned.samples, all.samples / 100);
  EXPECT_GE(thinned.samples, 5u);
  EXPECT_NEAR(all.weight_bytes, 300000.0 * class_bytes[class_of(1000)], 300000.0 * 1008 * 0.05);
}

// Threads that follow each other share what one thread may take.
TEST_F(Sampling, ShortThreadsTakeNoMoreSamplesThanALongOne) {
  in_a_thread(0, [] {});  // without a spacing there is no thinning that could be taken over
  set_value(option::sample_spacing, 1000000);
  std::uint64_t samples = 0;
  constexpr int threads = 40;
  for (int i = 0; i < threads; ++i) {
    in_a_thread(4096, [&samples] {
      std::vector<void*> blocks;
      for (int block = 0; block < 1000; ++block) blocks.push_back(test::allocate(1000));
      samples += live_samples().samples;
      test::free_all(blocks);
    });
  }
  // Unthinned 240 a thread. Each doubling takes at least one sample, and a second earns one.
  EXPECT_LT(samples, 2000u);
  EXPECT_GT(samples, 0u);
}

TEST_F(Sampling, NoBlockIsLostNorSharedUnderSampling) {
  const heap_figures before = test::figures();
  in_a_thread(4096, [] {
    dice random(5);
    std::vector<test::filled_block> blocks;
    for (int i = 0; i < 30000; ++i) {
      if (blocks.size() < 100 || random.below(2) == 0) {
        blocks.push_back(test::filled_block::make(1 + random.below(2000), static_cast<unsigned char>(random())));
      } else {
        std::swap(blocks[random.below(static_cast<std::uint32_t>(blocks.size()))], blocks.back());
        ASSERT_TRUE(blocks.back().is_intact());
        deallocate(blocks.back().start);
        blocks.pop_back();
      }
      if (i % 5000 == 0) test::expect_to_add_up(test::figures());
    }
    for (const test::filled_block& block : blocks) {
      ASSERT_TRUE(block.is_intact());
      deallocate(block.start);
    }
  });
  const heap_figures after = test::figures();
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  test::expect_to_add_up(after);
}

TEST_F(Sampling, IsSwitchedOffAndOnWhileTheProgramRuns) {
  in_a_thread(0, [] {
    std::vector<void*> blocks;
    for (int i = 0; i < 20000; ++i) blocks.push_back(test::allocate(1000));
    EXPECT_EQ(live_samples().samples, 0u);
    test::free_all(blocks);
    telemetry::set_sample_interval_bytes(8192);
    for (int i = 0; i < 60000; ++i) blocks.push_back(test::allocate(1000));
    EXPECT_GT(live_samples().samples, 100u);
    test::free_all(blocks);
  });
}

TEST_F(Sampling, SampleFreedByAnotherThreadIsGone) {
  std::vector<void*> blocks;
  in_a_thread(4096, [&] {
    for (int i = 0; i < 5000; ++i) blocks.push_back(test::allocate(500));
  });
  EXPECT_GT(live_samples().samples, 100u);
  test::free_all(blocks);
}

TEST_F(Sampling, ReallocMovesTheSampleWithTheBlock) {
  in_a_thread(4096, [] {
    void* block = test::allocate(600 * 1024);
    ASSERT_TRUE(is_sample(block));
    for (std::size_t bytes = 600 * 1024; bytes < (8 << 20); bytes = bytes * 3 / 2) {
      block = reallocate(block, bytes);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(live_samples().samples, 1u);
    }
    deallocate(block);
  });
}

}  // namespace
}  // namespace tenure::core
