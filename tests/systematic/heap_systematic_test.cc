// The heap's protocols, one thread at a time at their yield points: spans between threads, a walk against owners that
// pop and push, and pages on their way to the system against allocation and fork. The caches' are in
// heap_caches_systematic.cc.
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <map>

#include "core/heap/central_list.h"
#include "core/os/virtual_memory.h"
#include "core/pages/huge_pages.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "heap_scenario.h"

namespace tenure::core {
namespace {

// --- the walk ------------------------------------------------------------------------------------------------------

// When each block was surely live and when it may have been: an operation takes effect somewhere within it.
class history {
 public:
  struct span_of_life {
    void* block;
    std::uint32_t may_from, sure_from, sure_until, may_until;
  };

  std::uint32_t now() { return ++time_; }
  std::uint32_t time() const { return time_; }
  void allocated(void* block, std::uint32_t began) { open_[block] = {block, began, now(), never, never}; }
  // Its free begins; the number is for freed(), when it has returned. The block may be somebody else's by then.
  std::size_t freeing(void* block) {
    closed_.push_back(open_.at(block));
    open_.erase(block);
    closed_.back().sure_until = now();
    return closed_.size() - 1;
  }
  void freed(std::size_t number) { closed_[number].may_until = now(); }

  // Whether at one moment of [from, until] exactly these blocks can have been live.
  bool fits(const std::set<const void*>& told, std::uint32_t from, std::uint32_t until) const {
    for (std::uint32_t t = from; t <= until; ++t) {
      if (fits_at(told, t)) return true;
    }
    return false;
  }
  // The same for a count.
  bool fits(std::uint64_t count, std::uint32_t from, std::uint32_t until) const {
    for (std::uint32_t t = from; t <= until; ++t) {
      if (count >= at(t, true).size() && count <= at(t, false).size()) return true;
    }
    return false;
  }

 private:
  static constexpr std::uint32_t never = ~0u;

  std::set<const void*> at(std::uint32_t t, bool sure) const {
    std::set<const void*> blocks;
    const auto look = [&](const span_of_life& life) {
      if (sure ? life.sure_from <= t && t < life.sure_until : life.may_from <= t && t < life.may_until) {
        blocks.insert(life.block);
      }
    };
    for (const span_of_life& life : closed_) look(life);
    for (const auto& [block, life] : open_) look(life);
    return blocks;
  }
  bool fits_at(const std::set<const void*>& told, std::uint32_t t) const {
    const std::set<const void*> sure = at(t, true);
    const std::set<const void*> maybe = at(t, false);
    return std::includes(told.begin(), told.end(), sure.begin(), sure.end()) &&
           std::includes(maybe.begin(), maybe.end(), told.begin(), told.end());
  }

  std::uint32_t time_ = 0;
  std::map<void*, span_of_life> open_;
  std::vector<span_of_life> closed_;
};

struct walk_result {
  std::set<const void*> told;
  std::uint64_t count = 0;
  std::uint32_t from = 0, until = 0;
};

std::set<const void*> walk() {
  std::set<const void*> told;
  walk_totals totals{};
  EXPECT_TRUE(walk_live_blocks(
      [](void* context, const live_block& block) {
        static_cast<std::set<const void*>*>(context)->insert(block.address);
        return true;
      },
      &told, &totals));
  EXPECT_EQ(totals.unread_lists, 0u);
  return told;
}

walk_result walk_with_times(const history& lives, const std::set<const void*>& before) {
  walk_result result;
  result.from = lives.time();
  result.told = walk();
  result.until = lives.time();
  for (const void* block : before) result.told.erase(block);
  return result;
}

void free_and_note(history& lives, void* block) {
  const std::size_t number = lives.freeing(block);
  deallocate(block);
  lives.freed(number);
}

// Fills the thread's lists, so that what follows meets few slow paths, and waits until the others have done so too.
std::vector<void*> warm_up(history& lives, std::size_t bytes, int& warm, int all) {
  std::vector<void*> mine;
  for (int i = 0; i < 24; ++i) {
    const std::uint32_t began = lives.now();
    mine.push_back(allocate(bytes, wire::allocation_entry::malloc));
    lives.allocated(mine.back(), began);
  }
  for (int i = 0; i < 18; ++i) {
    free_and_note(lives, mine.back());
    mine.pop_back();
  }
  ++warm;
  while (warm != all) testing::systematic::yield();
  return mine;
}

// Pops and pushes, most of them without a slow path.
void work(history& lives, std::uint32_t seed, std::size_t bytes, std::vector<void*> mine) {
  dice random(seed);
  for (int i = 0; i < 24; ++i) {
    if (mine.empty() || random.below(2) == 0) {
      const std::uint32_t began = lives.now();
      mine.push_back(allocate(bytes, wire::allocation_entry::malloc));
      lives.allocated(mine.back(), began);
    } else {
      std::swap(mine[random.below(static_cast<std::uint32_t>(mine.size()))], mine.back());
      free_and_note(lives, mine.back());
      mine.pop_back();
    }
  }
  for (void* block : mine) free_and_note(lives, block);
}

TEST_F(HeapSystematic, WalkTellsWhatWasLiveAtOneMoment) {
  const std::set<const void*> before = walk();
  const std::uint64_t count_before = figures().live_blocks;
  for_seeds(1500, [&](std::uint32_t seed) {
    history lives;
    std::vector<walk_result> results;
    scenario threads(seed);
    int warm = 0;
    const std::size_t other = seed % 2 == 0 ? 64 : 65536;  // whose spans come and go
    threads.add([&] { work(lives, seed * 2, 64, warm_up(lives, 64, warm, 2)); });
    threads.add([&] { work(lives, seed * 2 + 1, other, warm_up(lives, other, warm, 2)); });
    threads.add([&] {
      while (warm != 2) testing::systematic::yield();
      for (int i = 0; i < 2; ++i) results.push_back(walk_with_times(lives, before));
    });
    threads.run();
    for (const walk_result& result : results) EXPECT_TRUE(lives.fits(result.told, result.from, result.until));
    EXPECT_EQ(figures().live_blocks, count_before);
  });
}

TEST_F(HeapSystematic, FiguresAreExactAtOneMoment) {
  const std::uint64_t before = figures().live_blocks;
  for_seeds(1500, [&](std::uint32_t seed) {
    history lives;
    std::vector<walk_result> results;
    scenario threads(seed);
    int warm = 0;
    threads.add([&] { work(lives, seed * 2, 64, warm_up(lives, 64, warm, 2)); });
    threads.add([&] { work(lives, seed * 2 + 1, 65536, warm_up(lives, 65536, warm, 2)); });  // spans come and go
    threads.add([&] {
      while (warm != 2) testing::systematic::yield();
      for (int i = 0; i < 2; ++i) {
        walk_result result;
        result.from = lives.time();
        const heap_figures now = figures();
        result.until = lives.time();
        EXPECT_TRUE(adds_up(now));
        result.count = now.live_blocks - before;
        results.push_back(result);
      }
    });
    threads.run();
    for (const walk_result& result : results) {
      EXPECT_TRUE(lives.fits(result.count, result.from, result.until)) << result.count << " blocks";
    }
  });
}

// --- spans ---------------------------------------------------------------------------------------------------------

constexpr std::size_t span_class = class_of(32768);

// Takes blocks from the central list and gives them back, which empties their spans, while others do the same.
void empty_spans(history& lives, std::set<free_block*>& out, std::uint32_t seed) {
  central_list& list = central_lists[span_class];
  dice random(seed);
  for (int i = 0; i < 5; ++i) {
    const std::uint32_t began = lives.now();
    const block_chain chain = list.fetch(span_class, 1 + random.below(9));
    ASSERT_NE(chain.count, 0u);
    for (free_block* block = chain.first; block != nullptr; block = next_of(block)) {
      ASSERT_TRUE(out.insert(block).second) << "handed out twice";
      ASSERT_EQ(window.class_map[page_index(block)], span_class) << "from a span that was given up";
      lives.allocated(block, began);
    }
    testing::systematic::yield();
    std::vector<std::size_t> numbers;
    for (free_block* block = chain.first; block != nullptr; block = next_of(block)) {
      out.erase(block);
      numbers.push_back(lives.freeing(block));
    }
    random.one_in(4) ? list.give(span_class, chain) : list.give_back(span_class, chain);
    for (const std::size_t number : numbers) lives.freed(number);
  }
}

TEST_F(HeapSystematic, SpansEmptyWhileOthersFetchAndAWalkLooksOn) {
  const std::set<const void*> before = walk();
  for_seeds(3000, [&](std::uint32_t seed) {
    history lives;
    std::set<free_block*> out;
    std::vector<walk_result> results;
    scenario threads(seed);
    threads.add([&] { empty_spans(lives, out, seed * 2); });
    threads.add([&] { empty_spans(lives, out, seed * 2 + 1); });
    threads.add([&] {
      for (int i = 0; i < 4; ++i) {
        testing::systematic::yield();
        results.push_back(walk_with_times(lives, before));
      }
    });
    threads.run();
    for (const walk_result& result : results) {
      EXPECT_TRUE(lives.fits(result.told, result.from, result.until)) << result.told.size() << " blocks told";
    }
    while (central_lists[span_class].batch_blocks() != 0) central_lists[span_class].trim(span_class);
    EXPECT_EQ(telemetry::statistics().classes[span_class].span_count, 0u);
    EXPECT_TRUE(adds_up(figures()));
  });
}

// --- pages ---------------------------------------------------------------------------------------------------------

volatile unsigned char* byte_of(const span* of, std::uint32_t page) {
  return reinterpret_cast<volatile unsigned char*>(page_address(of->first_page + page));
}
// False where a span said to be zeroed is not.
bool mark_pages(const span* of, unsigned char mark) {
  bool sound = true;
  for (std::uint32_t p = 0; p < of->page_count; ++p) {
    sound = sound && (!of->zeroed || *byte_of(of, p) == 0);
    *byte_of(of, p) = mark;
  }
  return sound;
}
bool has_mark(const span* of, unsigned char mark) {
  std::uint32_t p = 0;
  while (p < of->page_count && *byte_of(of, p) == mark) ++p;
  return p == of->page_count;
}

// Takes and gives spans whose pages it marks.
bool use_pages(std::uint32_t seed, int rounds) {
  dice random(seed);
  std::vector<span*> mine;
  const auto mark = static_cast<unsigned char>(seed | 1);
  bool sound = true;
  for (int i = 0; i < rounds; ++i) {
    if (mine.size() < 2 || random.below(2) == 0) {
      span* made = allocate_span(1 + random.below(5), 1, span_kind::large, random.below(2) == 0);
      if (made == nullptr) return false;
      sound = mark_pages(made, mark) && sound;
      mine.push_back(made);
    } else {
      sound = has_mark(mine.back(), mark) && sound;
      release_span(mine.back(), false);
      mine.pop_back();
    }
  }
  for (span* of : mine) release_span(of, false);
  return sound;
}

TEST_F(HeapSystematic, PagesAreReturnedWhileOthersTakeThem) {
  for_seeds(1000, [&](std::uint32_t seed) {
    scenario threads(seed);
    for (std::uint32_t t = 0; t < 2; ++t) {
      threads.add([seed, t] { EXPECT_TRUE(use_pages(seed * 4 + t, 15)); });
    }
    for (int t = 0; t < 2; ++t) {
      threads.add([] {
        for (int i = 0; i < 3; ++i) return_pages(0);
      });
    }
    threads.run();
    return_pages(0);
    EXPECT_EQ(dirty_bytes(), 0u);
    EXPECT_TRUE(adds_up(figures()));
  });
}

// --- the region ahead ------------------------------------------------------------------------------------------------

// A heap in which each span of small blocks on fresh pages may begin a region.
class region_ahead {
 public:
  region_ahead() { forget_huge_page_pacing(); }
  ~region_ahead() {
    telemetry::statistics().small_span_bytes = small_bytes_;
    release_span(ballast_, true);
  }
  region_ahead(const region_ahead&) = delete;

 private:
  span* ballast_ = allocate_span((96u << 20) >> page_shift, 1, span_kind::large, true);  // never touched
  std::uint64_t small_bytes_ = std::exchange(telemetry::statistics().small_span_bytes, notable_heap_bytes);
};

// Cuts spans as the central lists do, whose pages are its own for as long as it has them, and builds what is begun.
bool cut_and_build(std::uint32_t seed, int rounds, int& begun) {
  dice random(seed);
  std::vector<span*> mine;
  const auto mark = static_cast<unsigned char>(seed | 1);
  bool sound = true;
  for (int i = 0; i < rounds; ++i) {
    if (random.below(3) != 0) {
      span* made = allocate_span(4 + random.below(200), 1, span_kind::small, random.one_in(2));
      if (made == nullptr) return false;
      made->kind = span_kind::large;  // it has no blocks that a look could count
      sound = mark_pages(made, mark) && sound;
      mine.push_back(made);
    } else if (!mine.empty()) {
      sound = has_mark(mine.back(), mark) && sound;
      release_span(mine.back(), false);
      mine.pop_back();
    }
    begun += has_begun_region() ? 1 : 0;
    if (random.one_in(2)) build_begun_region();
  }
  for (span* of : mine) release_span(of, false);
  return sound;
}

TEST_F(HeapSystematic, RegionsAheadAreBuiltWhileOthersTakeAndReturnPages) {
  int begun = 0;
  for_seeds(300, [&](std::uint32_t seed) {
    {
      const region_ahead heap_that_grows;
      scenario threads(seed);
      for (std::uint32_t t = 0; t < 3; ++t) {
        threads.add([&begun, seed, t] { EXPECT_TRUE(cut_and_build(seed * 4 + t, 12, begun)); });
      }
      threads.add([] { tend_huge_pages(), tend_huge_pages(), return_pages(0); });
      threads.run();
      build_begun_region();
    }
    return_pages(0);
    EXPECT_EQ(dirty_bytes() + telemetry::statistics().huge_page_bytes, 0u);
    EXPECT_TRUE(adds_up(figures()));
  });
  EXPECT_GT(begun, 0);
}

// Whoever begins a region may be the one for whom there is nothing else: it is given up, by one, or built, by one.
TEST_F(HeapSystematic, ARegionAheadIsGivenUpWhereNothingElseIsFree) {
  for_seeds(200, [&](std::uint32_t seed) {
    {
      const region_ahead heap_that_grows;
      std::set<span*> taken;
      scenario threads(seed);
      for (std::uint32_t t = 0; t < 2; ++t) {
        threads.add([&, t] {
          dice random(seed * 4 + t);
          for (int i = 0; i < 400; ++i) {
            span* made = allocate_span(64, 1, random.one_in(2) ? span_kind::small : span_kind::large, true);
            if (made == nullptr) return;
            made->kind = span_kind::large;
            ASSERT_TRUE(taken.insert(made).second) << "handed out twice";
            if (random.one_in(8)) build_begun_region();
            if (i == 20) os::fail_from_nth_call(1);
          }
        });
      }
      threads.run();
      os::fail_from_nth_call(0);
      EXPECT_FALSE(has_begun_region());
      for (span* of : taken) release_span(of, false);
    }
    return_pages(0);
    EXPECT_EQ(dirty_bytes(), 0u);
    EXPECT_TRUE(adds_up(figures()));
  });
}

// --- fork ------------------------------------------------------------------------------------------------------------

// Spans in which no block is in use.
int count_empty_spans() {
  int count = 0;
  lock_page_heap();
  visit_spans(
      [](void* context, span* of) {
        const bool blocks = of->kind == span_kind::small || of->kind == span_kind::named_small;
        *static_cast<int*>(context) += blocks && of->free_count == of->block_count ? 1 : 0;
      },
      &count);
  unlock_page_heap();
  return count;
}

int live_on_in_the_child(std::uint32_t seed) {
  check_heap();
  if (count_empty_spans() != 0) return 5;
  if (!adds_up(figures())) return 1;
  if (!use_pages(seed, 30)) return 2;
  purge();
  // Whatever stood between two steps in the parent, all free pages can go back, and no cache of a gone thread is left.
  if (dirty_bytes() != 0) return 3;
  const heap_figures now = figures();
  if (!adds_up(now) || now.thread_caches != 1) return 4;
  check_heap();
  return 0;
}

TEST_F(HeapSystematic, ForkAtAnyMomentLeavesTheChildASoundHeap) {
  int begun = 0;
  for_seeds(400, [&](std::uint32_t seed) {
    const region_ahead heap_that_grows;
    history unused;
    std::set<free_block*> out;
    scenario threads(seed);
    int status = -1;
    threads.add([&] { EXPECT_TRUE(use_pages(seed, 10)); });
    threads.add([] {
      for (int i = 0; i < 3; ++i) return_pages(0);
    });
    threads.add([&] { empty_spans(unused, out, seed); });
    threads.add([&] { EXPECT_TRUE(cut_and_build(seed, 5, begun)); });
    threads.add([&] {
      deallocate(allocate(64, wire::allocation_entry::malloc));
      before_fork();
      const pid_t child = ::fork();
      if (child == 0) {
        takes_turns = false;
        after_fork_in_child();
        ::_exit(live_on_in_the_child(seed));
      }
      after_fork_in_parent();
      ASSERT_EQ(::waitpid(child, &status, 0), child);
    });
    threads.run();
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    build_begun_region();
  });
}

}  // namespace
}  // namespace tenure::core
