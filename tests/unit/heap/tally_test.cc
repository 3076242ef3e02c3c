// What one thread allocates, held against a model that is told of every call: counts, nested scopes, frees by other
// threads, blocks that move.
#include "core/telemetry/tally.h"

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include "core/heap/named_heap.h"
#include "core/heap/recorded_cache.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"
#include "unit/heap/heap_support.h"

namespace tenure::core {
namespace {

using telemetry::tally;
using ::tenure::test::dice;

tally* begin() {
  tally* const opened = telemetry::open_tally();
  follow_recording_now();
  return opened;
}

telemetry::tally_figures end(tally* ended) {
  EXPECT_TRUE(telemetry::end_tally(ended));
  follow_recording_now();
  const telemetry::tally_figures figures = telemetry::figures_of(ended);
  telemetry::release_tally(ended);
  return figures;
}

void* make(std::size_t bytes) { return allocate(bytes, wire::allocation_entry::malloc); }

class Tally : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    telemetry::set_sample_interval_bytes(0);
  }
  void TearDown() override {
    EXPECT_EQ(telemetry::tally_count, 0u);
    check_heap();
  }
};

// One scope of the model: what it should say.
struct model_scope {
  tally* real = nullptr;
  telemetry::tally_figures expected = {};
};

void expect_equal(const telemetry::tally_figures& told, const telemetry::tally_figures& expected) {
  EXPECT_EQ(told.allocations, expected.allocations);
  EXPECT_EQ(told.allocated_bytes, expected.allocated_bytes);
  EXPECT_EQ(told.frees, expected.frees);
  EXPECT_EQ(told.live_blocks, expected.live_blocks);
  EXPECT_EQ(told.live_bytes, expected.live_bytes);
  EXPECT_EQ(told.peak_live_bytes, expected.peak_live_bytes);
  EXPECT_EQ(told.missed, 0u);
}

struct held_block {
  std::size_t bytes;
  std::vector<tally*> counted_by;
};

class model {
 public:
  void allocate_one(std::size_t bytes) { note_allocation(make(bytes), bytes); }

  void free_one(dice& random, bool elsewhere) {
    if (held_.empty()) return;
    auto chosen = held_.begin();
    std::advance(chosen, random.below(static_cast<std::uint32_t>(held_.size())));
    void* const block = chosen->first;
    if (elsewhere)
      std::thread([block] { deallocate(block); }).join();
    else
      deallocate(block);
    note_free(block, elsewhere);
  }

  void resize_one(dice& random, std::size_t bytes) {
    if (held_.empty()) return;
    auto chosen = held_.begin();
    std::advance(chosen, random.below(static_cast<std::uint32_t>(held_.size())));
    void* const block = chosen->first;
    void* const moved = reallocate(block, bytes);
    // One that moves is there before the other goes.
    const held_block old = held_.at(block);
    if (moved == block) {
      note_free(block, false);
      note_allocation(moved, bytes);
    } else {
      held_.erase(block);
      note_allocation(moved, bytes);
      note_gone(old, false);
    }
  }

  void open() { scopes_.push_back({begin(), {}}); }
  void close() {
    if (scopes_.empty()) return;
    expect_equal(end(scopes_.back().real), scopes_.back().expected);
    for (auto& [block, held] : held_) std::erase(held.counted_by, scopes_.back().real);
    scopes_.pop_back();
  }
  std::size_t depth() const { return scopes_.size(); }
  void close_all() {
    while (!scopes_.empty()) close();
    for (const auto& [block, held] : held_) deallocate(block);
    held_.clear();
  }

 private:
  void note_allocation(void* block, std::size_t bytes) {
    held_block held{bytes, {}};
    for (model_scope& scope : scopes_) {
      telemetry::tally_figures& figures = scope.expected;
      ++figures.allocations;
      figures.allocated_bytes += bytes;
      ++figures.live_blocks;
      figures.live_bytes += bytes;
      figures.peak_live_bytes = std::max(figures.peak_live_bytes, figures.live_bytes);
      held.counted_by.push_back(scope.real);
    }
    EXPECT_TRUE(held_.emplace(block, held).second);
  }
  void note_free(void* block, bool elsewhere) {
    const held_block old = held_.at(block);
    held_.erase(block);
    note_gone(old, elsewhere);
  }
  void note_gone(const held_block& old, bool elsewhere) {
    for (model_scope& scope : scopes_) {
      if (!elsewhere) ++scope.expected.frees;
      if (std::find(old.counted_by.begin(), old.counted_by.end(), scope.real) == old.counted_by.end()) continue;
      --scope.expected.live_blocks;
      scope.expected.live_bytes -= old.bytes;
    }
  }

  std::vector<model_scope> scopes_;
  std::map<void*, held_block> held_;
};

TEST_F(Tally, CountsWhatTheModelCounts) {
  dice random(3);
  model one;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t bytes = random.one_in(60) ? 40'000 + random.below(2'000'000) : 1 + random.below(5000);
    if (random.one_in(150) && one.depth() < 3) one.open();
    if (random.one_in(200)) one.close();
    if (random.one_in(3)) one.free_one(random, random.one_in(200));
    if (random.one_in(6)) one.resize_one(random, bytes);
    if (!random.one_in(3)) one.allocate_one(bytes);
    if (random.one_in(6)) one.free_one(random, false);
  }
  one.close_all();
}

TEST_F(Tally, OtherThreadsAreNotCountedAndNotSlowed) {
  tally* const mine = begin();
  std::thread([] {
    EXPECT_FALSE(telemetry::is_tallied());
    void* const first = make(100);
    const thread_record* const record = own_record();
    EXPECT_FALSE(record->recorded);
    for (int i = 0; i < 1000; ++i) deallocate(make(100));
    deallocate(first);
  }).join();
  expect_equal(end(mine), {});
  EXPECT_FALSE(own_record()->recorded);
}

TEST_F(Tally, ManyThreadsFreeWhatOneHasAllocated) {
  for (int round = 0; round < 20; ++round) {
    tally* const mine = begin();
    std::vector<void*> blocks;
    for (int i = 0; i < 1000; ++i) blocks.push_back(make(1 + i * 7));
    EXPECT_EQ(telemetry::figures_of(mine).live_blocks, 1000u);
    std::vector<std::thread> threads;
    for (std::size_t of = 0; of < 4; ++of)
      threads.emplace_back([&blocks, of] {
        tally* const own = begin();
        for (std::size_t i = of; i < blocks.size(); i += 4) {
          deallocate(blocks[i]);
          deallocate(make(64));
        }
        const telemetry::tally_figures told = end(own);
        EXPECT_EQ(told.frees, 500u);
        EXPECT_EQ(told.allocations, 250u);
        EXPECT_EQ(told.live_blocks, 0u);
      });
    for (std::thread& one : threads) one.join();
    const telemetry::tally_figures told = end(mine);
    EXPECT_EQ(told.live_blocks, 0u);
    EXPECT_EQ(told.live_bytes, 0u);
    EXPECT_EQ(told.allocations, 1000u);
  }
}

// Threads whose caches are full and have room: no free of theirs would come by otherwise.
TEST_F(Tally, AThreadOnItsFastPathIsMetAsWell) {
  constexpr std::size_t count = 64;
  for (const std::size_t bytes : {24, 700, 3000, 20'000}) {
    std::vector<void*> blocks;
    os::mutex turn;
    turn.lock();
    std::thread freeing([&] {
      std::vector<void*> own;
      for (int round = 0; round < 50; ++round) {
        for (std::size_t i = 0; i < count; ++i) own.push_back(make(bytes));
        while (!own.empty()) {
          deallocate(own.back());
          own.pop_back();
        }
      }
      turn.lock();
      for (void* const block : blocks) deallocate(block);
    });
    tally* const mine = begin();
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(make(bytes));
    EXPECT_EQ(telemetry::figures_of(mine).live_blocks, count);
    turn.unlock();
    freeing.join();
    EXPECT_EQ(end(mine).live_blocks, 0u) << bytes;
  }
}

TEST_F(Tally, BlocksOutliveTheScopeThatCountedThem) {
  tally* const outer = begin();
  tally* const inner = begin();
  void* const block = make(100);
  EXPECT_EQ(end(inner).live_blocks, 1u);
  EXPECT_EQ(telemetry::figures_of(outer).live_blocks, 1u);
  deallocate(block);
  EXPECT_EQ(telemetry::figures_of(outer).live_blocks, 0u);
  void* const left = make(100);
  EXPECT_EQ(end(outer).live_blocks, 1u);
  deallocate(left);
}

TEST_F(Tally, ScopesEndInAnyOrderAndOnTheirOwnThread) {
  tally* const outer = begin();
  tally* const inner = begin();
  void* const block = make(100);
  std::thread([&] { EXPECT_FALSE(telemetry::end_tally(inner)); }).join();
  EXPECT_EQ(end(outer).live_blocks, 1u);
  deallocate(block);
  const telemetry::tally_figures told = end(inner);
  EXPECT_EQ(told.live_blocks, 0u);
  EXPECT_EQ(told.allocations, 1u);
}

TEST_F(Tally, WhatIsSuspendedIsNotCountedButFreesAre) {
  tally* const mine = begin();
  void* const counted = make(100);
  telemetry::suspend_tallies();
  void* const other = make(100);
  deallocate(counted);
  telemetry::resume_tallies();
  follow_recording_now();
  deallocate(other);
  const telemetry::tally_figures told = end(mine);
  EXPECT_EQ(told.allocations, 1u);
  EXPECT_EQ(told.live_blocks, 0u);
  EXPECT_EQ(told.frees, 1u);
}

TEST_F(Tally, NamedHeapsAreCountedAndGoAsAWhole) {
  named_heap* const heap = create_named_heap("counted");
  tally* const mine = begin();
  void* const one = heap->allocate(100, 16);
  heap->allocate(200, 16);
  heap->allocate(100'000, 16);
  deallocate(one);
  EXPECT_EQ(telemetry::figures_of(mine).live_bytes, 100'200u);
  destroy_named_heap(heap);
  const telemetry::tally_figures told = end(mine);
  EXPECT_EQ(told.allocations, 3u);
  EXPECT_EQ(told.live_blocks, 0u);
}

[[gnu::noinline]] void* make_here(std::size_t bytes) { return make(bytes); }
[[gnu::noinline]] void* make_there(std::size_t bytes) { return make(bytes + 1); }

TEST_F(Tally, SitesAreTheStacksAndAddUp) {
  tally* const mine = begin();
  std::vector<void*> blocks(30);
  for (std::size_t i = 0; i < 20; ++i) blocks[i] = make_here(10);
  for (std::size_t i = 20; i < 30; ++i) blocks[i] = make_there(100);
  for (std::size_t i = 0; i < 25; ++i) deallocate(blocks[i]);
  telemetry::suspend_tallies();
  struct sums {
    std::map<std::uint64_t, std::uint64_t> allocations_by_bytes;
    std::uint64_t live_blocks = 0, live_bytes = 0;
  } told;
  EXPECT_TRUE(telemetry::visit_tally(
      mine,
      [](void* context, const telemetry::tally_site& site) {
        auto* const into = static_cast<sums*>(context);
        EXPECT_GT(site.frame_count, 1u);
        into->allocations_by_bytes[site.allocated_bytes] = site.allocations;
        into->live_blocks += site.live_blocks;
        into->live_bytes += site.live_bytes;
        return 1;
      },
      &told));
  EXPECT_EQ(told.allocations_by_bytes[200], 20u);
  EXPECT_EQ(told.allocations_by_bytes[1010], 10u);
  telemetry::resume_tallies();
  for (std::size_t i = 25; i < 30; ++i) deallocate(blocks[i]);
  end(mine);
}

}  // namespace
}  // namespace tenure::core
