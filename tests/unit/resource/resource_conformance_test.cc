// One suite that every resource is put through (conformance_cases.h). The oracle is a map of the blocks that were
// handed out, with a content for each.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <string>

#include "unit/resource/conformance_cases.h"

namespace tenure {
namespace {

using testing::conformance_case;
using testing::counting_upstream;
using testing::filled_block;

class Resource : public ::testing::TestWithParam<conformance_case> {
 protected:
  void SetUp() override {
    if (tested_ == nullptr) GTEST_SKIP() << "the system refuses what it needs";
  }

  const conformance_case& is_ = GetParam();
  counting_upstream upstream_;
  std::shared_ptr<memory_resource> tested_ = is_.make(upstream_);
  std::mt19937_64 dice_{20};

  filled_block make_one() {
    const std::size_t bytes = 1 + dice_() % is_.largest_bytes;
    std::size_t alignment = 1;
    while (alignment < is_.largest_alignment && dice_() % 2 == 0) alignment *= 2;
    return filled_block::make(*tested_, bytes, alignment, static_cast<unsigned char>(dice_()));
  }
  void give_back(const filled_block& one) { tested_->deallocate(one.start, one.bytes, one.alignment); }
  void check() { is_.check(*tested_); }

  // Against all others at once: none overlaps another.
  void expect_apart(std::vector<filled_block> blocks) {
    std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < blocks.size(); ++i) {
      ASSERT_LE(static_cast<char*>(blocks[i - 1].start) + blocks[i - 1].bytes, blocks[i].start);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Every, Resource,
                         ::testing::ValuesIn(testing::conformance_cases().begin(), testing::conformance_cases().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(Resource, IsInTheLedgerByItsName) {
  EXPECT_STREQ(tested_->name(), "tested");
  ASSERT_NE(tested_->account(), nullptr);
  tenure_account_stats figures{};
  figures.struct_size = sizeof figures;
  ASSERT_EQ(tenure_account_statistics(tested_->account(), &figures), 1);
  EXPECT_STREQ(figures.name, "tested");
  EXPECT_EQ(figures.publishes_use, 1);
  tenure_account* const was = tested_->account();
  tested_.reset();
  struct search {
    tenure_account* account;
    bool found = false;
  } looking{was};
  tenure_account_visit(
      [](void* context, tenure_account* account, const tenure_account_stats*) {
        auto* self = static_cast<search*>(context);
        self->found = self->found || account == self->account;
        return 1;
      },
      &looking);
  EXPECT_FALSE(looking.found);
}

TEST_P(Resource, HandsOutBlocksThatAreAlignedApartAndKept) {
  std::vector<filled_block> blocks;
  std::uint64_t made = 0;
  const std::uint64_t allocations = tested_->statistics().allocations;
  for (int step = 0; step < 4000; ++step) {
    if (blocks.empty() || blocks.size() < 300 || dice_() % 2 == 0) {
      blocks.push_back(make_one());
      ++made;
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back().start) % blocks.back().alignment, 0u);
      ASSERT_TRUE(tested_->owns(blocks.back().start));
    } else {
      std::swap(blocks[dice_() % blocks.size()], blocks.back());
      ASSERT_TRUE(blocks.back().is_intact());
      give_back(blocks.back());
      blocks.pop_back();
    }
    if (step % 500 == 0) {
      check();
      expect_apart(blocks);
    }
    if (blocks.size() > 600) {
      while (blocks.size() > 100) give_back(blocks.back()), blocks.pop_back();
    }
  }
  for (const filled_block& one : blocks) EXPECT_TRUE(one.is_intact());
  const resource_statistics now = tested_->statistics();
  if (is_.takes_back) {
    EXPECT_EQ(now.used_blocks, blocks.size());
    EXPECT_EQ(now.allocations, allocations + made);
  } else {
    EXPECT_EQ(now.used_blocks, made);
  }
  std::size_t asked = 0;
  for (const filled_block& one : blocks) asked += one.bytes;
  EXPECT_GE(now.used_bytes, asked);
  EXPECT_GE(now.held_bytes, now.used_bytes);
  EXPECT_GE(now.peak_used_bytes, now.used_bytes);
  if (is_.takes_upstream) {
    EXPECT_EQ(now.held_bytes, upstream_.live_bytes());
  }
}

TEST_P(Resource, TellsExactlyWhatIsLive) {
  std::vector<filled_block> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(make_one());
  for (int i = 0; i < 80; ++i) {
    std::swap(blocks[dice_() % blocks.size()], blocks.back());
    give_back(blocks.back());
    blocks.pop_back();
  }
  const auto live = testing::live_ranges(*tested_);
  std::uint64_t bytes = 0;
  for (const auto& [begin, length] : live) bytes += length;
  if (is_.knows_blocks) {
    EXPECT_EQ(live.size(), blocks.size());
    if (is_.counts_whole) {
      EXPECT_EQ(bytes, tested_->statistics().used_bytes);
    }
  }
  for (const filled_block& one : blocks) {
    const auto begin = reinterpret_cast<std::uintptr_t>(one.start);
    auto after = live.upper_bound(begin);
    ASSERT_NE(after, live.begin());
    --after;
    EXPECT_GE(after->first + after->second, begin + one.bytes);
    if (is_.knows_blocks) {
      EXPECT_EQ(after->first, begin);
    }
  }
}

TEST_P(Resource, TakesZeroBytes) {
  void* first = tested_->allocate(0);
  void* second = tested_->allocate(0);
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  tested_->deallocate(first, 0);
  tested_->deallocate(second, 0);
  check();
}

TEST_P(Resource, RefusesWhatCannotBe) {
  const auto far = static_cast<std::size_t>(PTRDIFF_MAX) + 1;
  std::size_t volatile huge = far;
  EXPECT_THROW(static_cast<void>(tested_->allocate(huge)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(tested_->allocate(16, huge)), std::bad_alloc);
  EXPECT_EQ(tested_->statistics().used_blocks, 0u);
  check();
}

TEST_P(Resource, StaysWithinItsLimit) {
  if (!is_.grows) GTEST_SKIP() << "holds one range from the beginning";
  constexpr std::uint64_t limit = 300'000;
  tested_->set_limits({.hard_bytes = limit});
  const std::uint64_t refusals = tested_->statistics().refusals;
  std::vector<filled_block> blocks;
  EXPECT_THROW(
      for (;;) {
        blocks.push_back(make_one());
        ASSERT_LE(tested_->statistics().held_bytes, limit);
      },
      std::bad_alloc);
  EXPECT_GT(tested_->statistics().used_bytes, limit / 4);
  EXPECT_EQ(tested_->statistics().refusals, refusals + 1);
  for (const filled_block& one : blocks) ASSERT_TRUE(one.is_intact());
  check();
  // More may be had again when the limit rises.
  tested_->set_limits({});
  EXPECT_NO_THROW(blocks.push_back(make_one()));
}

TEST_P(Resource, IsAsItWasWhenTheUpstreamRefuses) {
  if (!is_.takes_upstream || !is_.grows) GTEST_SKIP() << "asks no upstream";
  std::vector<filled_block> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back(make_one());
  upstream_.refuse_from_now(true);
  EXPECT_THROW(for (;;) blocks.push_back(make_one()), std::bad_alloc);
  check();
  const resource_statistics now = tested_->statistics();
  EXPECT_EQ(now.used_blocks, blocks.size());
  EXPECT_EQ(now.held_bytes, upstream_.live_bytes());
  upstream_.refuse_from_now(false);
  for (int i = 0; i < 50; ++i) blocks.push_back(make_one());
  for (const filled_block& one : blocks) ASSERT_TRUE(one.is_intact());
}

TEST_P(Resource, GivesBackWhatIsNotUsed) {
  if (!is_.takes_upstream || !is_.grows || !is_.keeps) GTEST_SKIP() << "keeps nothing";
  std::vector<filled_block> blocks;
  for (int i = 0; i < 2000; ++i) blocks.push_back(make_one());
  const filled_block kept = blocks.front();
  for (std::size_t i = 1; i < blocks.size(); ++i) give_back(blocks[i]);
  const std::size_t before = upstream_.live_bytes();
  const std::size_t freed = tested_->trim();
  EXPECT_EQ(upstream_.live_bytes(), before - freed);
  EXPECT_EQ(tested_->statistics().held_bytes, upstream_.live_bytes());
  if (is_.takes_back) {
    EXPECT_GT(freed, before / 2);
  }
  EXPECT_TRUE(kept.is_intact());
  check();
  give_back(kept);
  if (is_.takes_back) {
    tested_->trim();
    EXPECT_EQ(upstream_.live_bytes(), 0u);
  }
  give_back(make_one());
}

TEST_P(Resource, GivesEverythingBackAtItsEnd) {
  if (!is_.takes_upstream || !is_.ends_all) GTEST_SKIP() << "asks no upstream";
  for (int i = 0; i < 500; ++i) make_one();
  EXPECT_GT(upstream_.live_blocks(), 0u);
  tested_.reset();
  EXPECT_EQ(upstream_.live_blocks(), 0u);
}

// Made within, so that the child that dies has handed its blocks out itself.
TEST_P(Resource, EndsMisuseInAMessageWithTheObjectAndBothSites) {
  if (!is_.has_checks || !is_.takes_back) GTEST_SKIP() << "looks for none";
  const auto misuse = [this](bool is_twice) {
    const auto home = is_.make(upstream_), other = is_.make(upstream_);
    void* const block = home->allocate(48, 16);
    (is_twice ? home : other)->deallocate(block, 48, 16);
    home->deallocate(block, 48, 16);
  };
  const std::string object = "[^\n]*: 0x[^\n]*[0-9]+ bytes, [a-z_ ]+ \"[^\"]+\"(.|\n)*";
  const std::string site = "\n(.|\n)*at 0x(.|\n)*";
  EXPECT_DEATH(misuse(true), "(double release|no longer)" + object + "allocated" + site + "released first" + site +
                                 "released again" + site);
  EXPECT_DEATH(misuse(false), "release" + object + "allocated there" + site + "released here" + site);
}

// A write into a block that was given back is told when its memory is handed out again, or at the end of the resource,
// with both sites.
TEST_P(Resource, FindsWritesIntoBlocksThatHaveBeenReleased) {
  if (!is_.finds_late_writes) GTEST_SKIP() << "looks for none";
  const auto use = [this](bool writes_late) {
    auto home = is_.make(upstream_);
    void* const block = home->allocate(48, 16);
    std::memset(block, 1, 48);
    home->deallocate(block, 48, 16);
    if (writes_late) static_cast<volatile char*>(block)[20] = 2;
    for (int round = 0; round < 3000; ++round) home->deallocate(home->allocate(48, 16), 48, 16);
    home.reset();
    std::_Exit(7);
  };
  EXPECT_EXIT(use(false), ::testing::ExitedWithCode(7), "");
  EXPECT_DEATH(use(true),
               "write into a block after its release: 0x[^\n]*a block of [0-9]+ bytes, [a-z_ ]+ \"tested[^\n]*(.|\n)*"
               "allocated\n(.|\n)*at 0x(.|\n)*released\n(.|\n)*at 0x");
}

TEST_P(Resource, IsEqualToItselfAlone) {
  const auto other = is_.make(upstream_);
  EXPECT_TRUE(tested_->is_equal(*tested_));
  EXPECT_FALSE(tested_->is_equal(*other));
}

TEST_P(Resource, ServesContainers) {
  std::pmr::list<std::uint32_t> numbers(tested_.get());
  for (std::uint32_t i = 0; i < 1000; ++i) numbers.push_back(i * i);
  numbers.remove_if([](std::uint32_t one) { return one % 2 == 1; });
  std::uint64_t sum = 0;
  for (const std::uint32_t one : numbers) sum += one;
  EXPECT_EQ(sum, 166'167'000u);  // of the squares of 0, 2, ... 998
}

}  // namespace
}  // namespace tenure
