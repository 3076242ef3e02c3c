#include "core/pages/page_heap.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "core/os/virtual_memory.h"
#include "core/pages/metadata.h"
#include "core/pages/page_map.h"
#include "core/pages/span_records.h"
#include "core/telemetry/telemetry.h"
#include "support/dice.h"

namespace tenure::core {
namespace {

struct held_span {
  std::uint32_t pages;
  unsigned char content;
};

unsigned char* start_of(const span* of) { return reinterpret_cast<unsigned char*>(page_address(of->first_page)); }
std::size_t bytes_of(const span* of) { return std::size_t{of->page_count} << page_shift; }

// Content is written and looked for at one place in each of this many bytes.
constexpr std::size_t stride_bytes = 1024;

void fill(const span* of, unsigned char value) {
  for (std::size_t i = 0; i < bytes_of(of); i += stride_bytes) start_of(of)[i] = value;
}

bool filled_with(const span* of, std::uint32_t pages, unsigned char value) {
  for (std::size_t i = 0; i < std::size_t{pages} << page_shift; i += stride_bytes) {
    if (start_of(of)[i] != value) return false;
  }
  return true;
}

// What the page heap should hold, kept beside it: which pages are whose, and what is written in them.
class reference {
 public:
  void allocate(std::uint32_t pages, std::uint32_t alignment, bool want_clean, unsigned char content) {
    span* made = allocate_span(pages, alignment, span_kind::large, want_clean);
    if (made == nullptr) {
      ++refusals;
      return;
    }
    ASSERT_EQ(made->page_count, pages);
    ASSERT_EQ(made->kind, span_kind::large);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(start_of(made)) % (alignment * page_size_bytes), 0u);
    if (made->zeroed) {
      ASSERT_TRUE(filled_with(made, made->page_count, 0)) << "said to be zero and is not";
    }
    claim(made, made->first_page, pages);
    fill(made, content);
    spans[made] = {pages, content};
  }

  void release(span* gone) {
    const held_span held = spans.at(gone);
    ASSERT_TRUE(filled_with(gone, gone->page_count, held.content)) << "somebody wrote into a span in use";
    give_up(gone->first_page, held.pages);
    spans.erase(gone);
    release_span(gone, false);
  }

  void grow(span* grown, std::uint32_t added) {
    held_span& held = spans.at(grown);
    if (!grow_span(grown, held.pages + added)) {
      ASSERT_EQ(grown->page_count, held.pages);
      return;
    }
    ++grown_in_place;
    ASSERT_EQ(grown->page_count, held.pages + added);
    claim(grown, grown->first_page + held.pages, added);
    ASSERT_TRUE(filled_with(grown, held.pages, held.content));
    fill(grown, held.content);
    held.pages += added;
  }

  void shrink(span* shrunk, std::uint32_t removed) {
    held_span& held = spans.at(shrunk);
    shrink_span(shrunk, held.pages - removed);
    ASSERT_EQ(shrunk->page_count, held.pages - removed);
    held.pages -= removed;
    give_up(shrunk->first_page + held.pages, removed);
  }

  // The whole heap against this model.
  void check() {
    lock_page_heap();
    check_page_heap();
    std::vector<span*> seen;
    visit_spans([](void* context, span* of) { static_cast<std::vector<span*>*>(context)->push_back(of); }, &seen);
    unlock_page_heap();
    ASSERT_EQ(seen.size(), spans.size());
    ASSERT_TRUE(std::is_sorted(seen.begin(), seen.end(),
                               [](const span* a, const span* b) { return a->first_page < b->first_page; }));
    std::uint64_t used_bytes = 0;
    for (const span* of : seen) {
      ASSERT_EQ(spans.count(const_cast<span*>(of)), 1u);
      used_bytes += bytes_of(of);
    }
    const wire::heap_statistics& totals = telemetry::statistics();
    ASSERT_EQ(totals.chunk_bytes, used_bytes + totals.free_dirty_bytes + totals.free_clean_bytes);
    for (const auto& [page, owner] : owners) ASSERT_EQ(find_span(reinterpret_cast<void*>(page_address(page))), owner);
  }

  void release_all() {
    while (!spans.empty()) release(spans.begin()->first);
  }

  span* any(test::dice& random) {
    auto at = spans.begin();
    std::advance(at, random() % spans.size());
    return at->first;
  }

  std::map<span*, held_span> spans;
  std::map<std::uintptr_t, span*> owners;
  int refusals = 0;
  int grown_in_place = 0;

 private:
  void claim(span* owner, std::uintptr_t first, std::uint32_t pages) {
    for (std::uint32_t i = 0; i < pages; ++i)
      ASSERT_TRUE(owners.emplace(first + i, owner).second) << "handed out twice";
  }
  void give_up(std::uintptr_t first, std::uint32_t pages) {
    for (std::uint32_t i = 0; i < pages; ++i) ASSERT_EQ(owners.erase(first + i), 1u);
  }
};

void random_step(reference& model, test::dice& random) {
  const unsigned what = random() % 16;
  if (model.spans.size() < 4 || what < 6) {
    const std::uint32_t pages = random() % 20 == 0 ? 1 + random() % 600 : 1 + random() % 12;
    const std::uint32_t alignment = random() % 4 == 0 ? 1u << random() % 7 : 1;
    model.allocate(pages, alignment, random() % 4 == 0, static_cast<unsigned char>(1 + random() % 255));
  } else if (what < 11 || model.spans.size() > 40) {
    model.release(model.any(random));
  } else if (what < 13) {
    model.grow(model.any(random), 1 + random() % 20);
  } else if (what < 15) {
    span* shrunk = model.any(random);
    if (shrunk->page_count > 1) model.shrink(shrunk, 1 + random() % (shrunk->page_count - 1));
  } else {
    return_pages(random() % 2 == 0 ? 0 : 1000000);
  }
}

TEST(PageHeap, AgreesWithAModelOfPagesAfterEveryStep) {
  int grown_in_place = 0;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    test::dice random(seed);
    reference model;
    for (int step = 0; step < 250; ++step) {
      random_step(model, random);
      model.check();
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "at step " << step;
    }
    grown_in_place += model.grown_in_place;
    model.release_all();
    model.check();
  }
  EXPECT_GT(grown_in_place, 20) << "the sequence does not exercise growing";
}

TEST(PageHeap, AgreesWithTheModelWhenTheSystemRefusesFromAnyCallOn) {
  int refusals = 0;
  for (unsigned nth = 1; nth <= 24; ++nth) {
    SCOPED_TRACE(nth);
    test::dice random(nth);
    reference model;
    os::fail_from_nth_call(nth);
    for (int step = 0; step < 60; ++step) {
      if (step == 30) {  // more than there is
        os::fail_from_nth_call(1);
        model.allocate(static_cast<std::uint32_t>(telemetry::statistics().chunk_bytes >> page_shift) + 1, 1, false, 1);
      } else {
        random_step(model, random);
      }
      model.check();
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "at step " << step;
    }
    os::fail_from_nth_call(0);
    refusals += model.refusals;
    model.release_all();
    model.check();
  }
  EXPECT_GE(refusals, 24);
}

// Free pieces of whatever history grow together: with everything free, all of it can be had in one piece.
TEST(PageHeap, FreePagesGrowTogether) {
  test::dice random(7);
  reference model;
  for (int i = 0; i < 300; ++i) model.allocate(1 + random() % 9, 1, false, 1);
  while (!model.spans.empty()) model.release(model.any(random));
  return_pages(0);
  const std::uint64_t chunk_bytes = telemetry::statistics().chunk_bytes;
  span* whole = allocate_span(static_cast<std::uint32_t>(chunk_bytes >> page_shift), 1, span_kind::large, false);
  ASSERT_NE(whole, nullptr);
  EXPECT_EQ(telemetry::statistics().chunk_bytes, chunk_bytes) << "the system was asked for what was there already";
  release_span(whole, false);
}

TEST(PageHeap, FreedPagesAreUsedAgainBeforeCleanOnesAndCleanOnesWhenWanted) {
  return_pages(0);
  span* used = allocate_span(4, 1, span_kind::large, false);
  const std::uint32_t place = used->first_page;
  release_span(used, false);
  span* again = allocate_span(4, 1, span_kind::large, false);
  EXPECT_EQ(again->first_page, place);
  EXPECT_FALSE(again->zeroed);
  release_span(again, false);
  span* clean = allocate_span(4, 1, span_kind::large, true);
  EXPECT_TRUE(clean->zeroed);
  EXPECT_NE(clean->first_page, place);
  release_span(clean, false);
}

TEST(PageHeap, ReturnsWhatIsOldEnoughAndKeepsTheRest) {
  return_pages(0);
  EXPECT_EQ(dirty_bytes(), 0u);
  span* used = allocate_span(300, 1, span_kind::large, false);
  fill(used, 1);
  const std::size_t bytes = bytes_of(used);
  release_span(used, false);
  EXPECT_EQ(dirty_bytes(), bytes);
  EXPECT_EQ(return_pages(3600ull * 1000000000), 0u);
  EXPECT_EQ(dirty_bytes(), bytes);
  EXPECT_EQ(return_pages(0), bytes);
  EXPECT_EQ(dirty_bytes(), 0u);
}

TEST(PageHeap, RefusedReturnLeavesThePagesDirty) {
  return_pages(0);
  span* used = allocate_span(200, 1, span_kind::large, false);
  fill(used, 1);
  const std::size_t bytes = bytes_of(used);
  release_span(used, false);
  os::fail_from_nth_call(1);
  EXPECT_EQ(return_pages(0), 0u);
  os::fail_from_nth_call(0);
  EXPECT_EQ(dirty_bytes(), bytes);
  lock_page_heap();
  check_page_heap();
  unlock_page_heap();
  EXPECT_EQ(return_pages(0), bytes);
}

// No memory for the second of two records that an aligned piece out of the middle of a run takes.
TEST(PageHeap, CutThatFailsHalfWayLeavesTheRunWhole) {
  constexpr std::uint32_t alignment = 64;
  span* odd = allocate_span(1, alignment, span_kind::large, false);
  ASSERT_NE(odd, nullptr);  // what follows it is not at the alignment
  release_span(allocate_span(3 * alignment, 1, span_kind::large, false), false);
  os::fail_from_nth_call(1);
  while (allocate_metadata(64) != nullptr) {
  }
  std::vector<span*> records;
  while (span* record = allocate_span_record()) records.push_back(record);
  const auto give_record = [&] {
    if (records.empty()) return false;
    records.back()->kind = span_kind::large;
    free_span_record(records.back());
    records.pop_back();
    return true;
  };
  ASSERT_TRUE(give_record());
  EXPECT_EQ(allocate_span(2, alignment, span_kind::large, false), nullptr);
  lock_page_heap();
  check_page_heap();
  unlock_page_heap();
  os::fail_from_nth_call(0);
  while (give_record()) {
  }
  span* served = allocate_span(2, alignment, span_kind::large, false);
  ASSERT_NE(served, nullptr);
  release_span(served, false);
  release_span(odd, false);
}

TEST(PageHeap, CallbackIsToldWhenMuchIsDirtyAndNotBefore) {
  static int calls = 0;
  on_change([] { ++calls; });
  return_pages(0);
  release_span(allocate_span(8, 1, span_kind::large, false), false);
  EXPECT_EQ(calls, 0);
  release_span(allocate_span(1024, 1, span_kind::large, false), false);
  EXPECT_EQ(calls, 1);
  on_change(nullptr);
}

TEST(PageHeap, ThreadsAllocateReleaseAndReturnAtOnce) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      test::dice random(t);
      std::vector<span*> mine;
      for (int i = 0; i < 1500; ++i) {
        if (mine.size() < 10 || random() % 2 == 0) {
          span* made = allocate_span(1 + random() % 8, 1, span_kind::large, random() % 2 == 0);
          ASSERT_NE(made, nullptr);
          if (made->zeroed) {
            ASSERT_TRUE(filled_with(made, made->page_count, 0));
          }
          fill(made, static_cast<unsigned char>(t + 1));
          mine.push_back(made);
        } else {
          std::swap(mine[random() % mine.size()], mine.back());
          ASSERT_TRUE(filled_with(mine.back(), mine.back()->page_count, static_cast<unsigned char>(t + 1)));
          release_span(mine.back(), false);
          mine.pop_back();
        }
        if (i % 50 == 0) return_pages(0);
      }
      for (span* of : mine) release_span(of, false);
    });
  }
  for (std::thread& thread : threads) thread.join();
  reference nothing;
  nothing.check();
}

}  // namespace
}  // namespace tenure::core
