// One run of the heap's systematic tests under a seed, and what is looked at between its steps.
#pragma once

#include <gtest/gtest.h>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "../support/dice.h"
#include "../support/rounds.h"
#include "core/base/options.h"
#include "core/base/yield_point.h"
#include "core/heap/fork.h"
#include "core/heap/heap.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "core/telemetry/telemetry.h"
#include "systematic.h"

namespace tenure::core {

// Only some of the points are taken, few or many by the seed: where turns are long, a thread gets through whole
// operations between two steps of another. A thread that is ending, or the child of a fork, has no turn to hand over.
inline test::dice* turn_dice = nullptr;
inline std::uint32_t turn_length = 1;
inline thread_local bool takes_turns = false;

using test::dice;

// One run under a seed. The bodies end together, so that no thread's exit falls into another one's steps.
class scenario {
 public:
  explicit scenario(std::uint32_t seed) : dice_(seed), turns_(seed) {}
  void add(std::function<void()> body) {
    ++bodies_;
    turns_.add([this, body = std::move(body)] {
      takes_turns = true;
      body();
      flush_own_cache();
      takes_turns = false;
      ++ended_;
      while (ended_ != bodies_) testing::systematic::yield();
    });
  }
  void run() {
    turn_length = 1u << dice_.below(9);
    turn_dice = &dice_;
    turns_.run();
    turn_dice = nullptr;
  }

 private:
  dice dice_;
  testing::systematic turns_;
  int bodies_ = 0;
  int ended_ = 0;
};

inline heap_figures figures() {
  heap_figures now;
  read_figures(&now);
  return now;
}

inline bool adds_up(const heap_figures& now) {
  return now.committed_bytes == now.live_bytes + now.cached_bytes + now.batch_bytes + now.fragmented_bytes +
                                    now.free_dirty_bytes + now.named_span_bytes &&
         now.unread_lists == 0;
}

class HeapSystematic : public ::testing::Test {
 protected:
  void SetUp() override {
    initialize();
    set_value(option::background, 0);
    telemetry::set_sample_interval_bytes(0);
  }
  // Many short runs; the seed of the first one that fails is told.
  template <class Run>
  static void for_seeds(std::uint32_t count, Run run) {
    for (std::uint32_t seed = 1; seed <= test::rounds(count); ++seed) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed);
      give_up_parked_caches(0);  // of the run before
      run(seed);
      check_heap();
      ASSERT_FALSE(HasFailure()) << "seed " << seed;
    }
  }
};

// What is with the program, as the program sees it: only one thread runs at a time.
struct program {
  std::set<void*> live;
  std::vector<void*> shared = std::vector<void*>(6, nullptr);

  void allocate_into(dice& random, std::size_t bytes) {
    void* block = allocate(bytes, wire::allocation_entry::malloc);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(live.insert(block).second) << "handed out twice";
    std::swap(block, shared[random.below(6)]);
    release(block);
  }
  void release(void* block) {
    if (block == nullptr) return;
    ASSERT_EQ(live.erase(block), 1u);
    deallocate(block);
  }
};

}  // namespace tenure::core
