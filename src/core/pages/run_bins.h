// Free runs by length: exact up to 64 pages, then eight steps to each doubling, with a bitmap to find the next length
// that has any. Guarded by the page heap's lock.
#pragma once

#include <cstdint>

#include "core/base/bits.h"
#include "core/pages/span.h"

namespace tenure::core {

class run_bins {
 public:
  static constexpr unsigned exact_bins = 64;
  static constexpr unsigned bin_count = 256;

  // The bin in which a run of this length is kept: every run in a higher bin is at least as long as any in this one.
  static unsigned bin_of(std::uint32_t pages) noexcept {
    if (pages <= exact_bins) return pages - 1;
    const unsigned log = floor_log2(pages);
    return exact_bins + (log - 6) * 8 + ((pages >> (log - 3)) & 7);
  }

  void add(span* run) noexcept {
    const unsigned bin = bin_of(run->page_count);
    bins_[bin].push_front(run);
    bitmap_[bin / 64] |= 1ull << (bin % 64);
    set_pages(pages_ + run->page_count);
  }

  void remove(span* run) noexcept {
    const unsigned bin = bin_of(run->page_count);
    bins_[bin].remove(run);
    if (bins_[bin].empty()) bitmap_[bin / 64] &= ~(1ull << (bin % 64));
    set_pages(pages_ - run->page_count);
  }

  // The shortest run that holds `pages` at a multiple of `alignment` pages (of the window's index plus `phase`); among
  // equals the lowest address seen. Null if none. Looks at no more than `scan_limit` runs of a bin.
  span* best_fit(std::uint32_t pages, std::uint32_t alignment, std::uintptr_t phase) const noexcept;

  // Readable without the lock, as a hint.
  std::uint64_t pages() const noexcept { return __atomic_load_n(&pages_, __ATOMIC_RELAXED); }
  span* first_of(unsigned bin) const noexcept { return bins_[bin].first(); }

 private:
  static constexpr unsigned scan_limit = 32;
  unsigned next_bin(unsigned from) const noexcept;
  void set_pages(std::uint64_t pages) noexcept { __atomic_store_n(&pages_, pages, __ATOMIC_RELAXED); }

  span_list bins_[bin_count];
  std::uint64_t bitmap_[bin_count / 64] = {};
  std::uint64_t pages_ = 0;
};

// What a run takes over from one that is merged into it: its age, weighted by size, and whether it must be mapped
// afresh.
void merge_history(span* into, const span* other) noexcept;

// How many pages of the run lie before the first one at the alignment.
inline std::uint32_t lead_pages(const span* run, std::uint32_t alignment, std::uintptr_t phase) noexcept {
  const std::uintptr_t beyond = (run->first_page + phase) % alignment;
  return beyond == 0 ? 0 : static_cast<std::uint32_t>(alignment - beyond);
}

}  // namespace tenure::core
