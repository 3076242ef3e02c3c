#include "core/pages/run_bins.h"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "support/dice.h"

namespace tenure::core {
namespace {

TEST(RunBins, LongerRunsNeverStandInALowerBin) {
  unsigned last = 0;
  for (std::uint32_t pages = 1; pages < 300000; ++pages) {
    const unsigned bin = run_bins::bin_of(pages);
    ASSERT_GE(bin, last) << pages;
    ASSERT_LT(bin, run_bins::bin_count);
    if (pages <= run_bins::exact_bins) {
      ASSERT_EQ(bin, pages - 1);
    }
    last = bin;
  }
  constexpr std::uint32_t largest_window_pages = std::uint32_t{1} << 30;  // 16 TiB
  EXPECT_LT(run_bins::bin_of(largest_window_pages - 1), run_bins::bin_count);
}

TEST(RunBins, NothingFitsARequestBeyondEveryWindow) {
  run_bins bins;
  span run;
  run.page_count = 1u << 29;
  bins.add(&run);
  EXPECT_EQ(bins.best_fit(1u << 29, 1, 0), &run);
  for (const std::uint32_t pages : {(1u << 29) + 1, 1u << 30, 1u << 31, ~0u}) {
    EXPECT_EQ(bins.best_fit(pages, 1, 0), nullptr) << pages;
  }
}

// Within one bin lengths differ by an eighth at most, so that a fit from it wastes no more than that.
TEST(RunBins, BinIsNarrow) {
  std::uint32_t begin = 1;
  for (std::uint32_t pages = 2; pages < 300000; ++pages) {
    if (run_bins::bin_of(pages) == run_bins::bin_of(begin)) {
      ASSERT_LE(pages - begin, begin / 8) << pages;
    } else {
      begin = pages;
    }
  }
}

bool holds(const span& run, std::uint32_t pages, std::uint32_t alignment, std::uintptr_t phase) {
  const std::uintptr_t first = run.first_page + phase;
  const std::uintptr_t start = (first + alignment - 1) / alignment * alignment;
  return start + pages <= first + run.page_count;
}

// Against a look at every run. Few enough runs a bin that the limit of the search does not matter.
TEST(RunBins, BestFitIsTheShortestThatHolds) {
  test::dice random(4);
  for (int round = 0; round < 200; ++round) {
    run_bins bins;
    std::vector<std::unique_ptr<span>> runs;
    std::uint32_t next_page = 0;
    std::uint64_t pages_in_all = 0;
    const std::uintptr_t phase = random() % 1000;
    for (int i = 0; i < 25; ++i) {
      auto run = std::make_unique<span>();
      run->first_page = next_page + random() % 50;
      run->page_count = 1 + random() % (i % 3 == 0 ? 2000 : 70);
      next_page = run->first_page + run->page_count;
      pages_in_all += run->page_count;
      bins.add(run.get());
      runs.push_back(std::move(run));
    }
    for (int i = 0; i < 12; ++i) {
      const std::size_t gone = random() % runs.size();
      pages_in_all -= runs[gone]->page_count;
      bins.remove(runs[gone].get());
      runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(gone));
    }
    ASSERT_EQ(bins.pages(), pages_in_all);
    for (int i = 0; i < 50; ++i) {
      const std::uint32_t pages = 1 + random() % (i % 2 == 0 ? 64 : 1500);
      const std::uint32_t alignment = 1 + random() % 256;
      const span* best = nullptr;
      for (const auto& run : runs) {
        if (!holds(*run, pages, alignment, phase)) continue;
        if (best == nullptr || run_bins::bin_of(run->page_count) < run_bins::bin_of(best->page_count) ||
            (run_bins::bin_of(run->page_count) == run_bins::bin_of(best->page_count) &&
             (run->page_count < best->page_count ||
              (run->page_count == best->page_count && run->first_page < best->first_page)))) {
          best = run.get();
        }
      }
      ASSERT_EQ(bins.best_fit(pages, alignment, phase), best) << pages << " pages at " << alignment;
    }
  }
}

TEST(RunBins, LeadIsWhatLiesBeforeTheAlignment) {
  span run;
  for (std::uint32_t first = 0; first < 70; ++first) {
    run.first_page = first;
    for (std::uint32_t alignment = 1; alignment <= 64; ++alignment) {
      for (std::uintptr_t phase : {0u, 1u, 5u, 64u}) {
        const std::uint32_t lead = lead_pages(&run, alignment, phase);
        ASSERT_LT(lead, alignment);
        ASSERT_EQ((first + phase + lead) % alignment, 0u);
      }
    }
  }
}

}  // namespace
}  // namespace tenure::core
