// Huge pages: where the heap is dense, and ahead of a heap that grows while they are cheap.
//
// The window is looked at in regions of 2 MiB, the size of a huge page. A region whose pages are all in use and
// almost all resident, at some looks in a row, is rebuilt as one huge page by the kernel (MADV_COLLAPSE, 6.1): nothing
// becomes resident that was not, and no allocation waits for it, since only the background thread does this.
//
// A large heap that has used up its free pages and goes on to fresh ones is given its next region as one huge page, by
// the thread that grows it: one fault for 512. What that takes is measured each time. Where it takes long, since the
// kernel has to make room first or the host of a virtual machine has none at hand, the next regions come page by page
// as ever, more of them after each such time.
//
// When pages of a region are returned to the system, the kernel takes the huge page apart, is told to make none there
// of its own accord, and the region counts as sparse again.
//
// Rejected: asking for huge pages when a chunk is mapped (MADV_HUGEPAGE). The first touch of each 2 MiB then makes all
// of it resident, for a block that may need 16 KiB of it, and however long it takes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

inline constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
// A region is dense at this many looks before the one that rebuilds it.
inline constexpr std::uint8_t looks_before_rebuilding = 4;

// One look at all regions; at most a few are rebuilt. Returns how many. Called by the background thread only.
std::size_t tend_huge_pages() noexcept;

// Pages of [first, first + count) were returned to the system. Thread-safe.
void forget_huge_pages(std::uintptr_t first_page, std::uintptr_t count) noexcept;

// When to touch a region ahead: an answer to what it took before. Guarded by the page heap's lock.
class touch_pacing {
 public:
  // The heap goes on to `pages` fresh ones. True when its next region should be touched as a huge page now.
  bool wants_region(std::uint64_t pages) noexcept;
  // What came of it: whether there is a huge page now, and the processor time it took.
  void note(bool is_huge, std::uint64_t took_ns) noexcept;

  // 512 faults take 0.8 to 1.1 ms in a virtual machine, and some 0.3 on bare metal, where a huge page takes 0.1.
  static constexpr std::uint64_t most_touch_ns = 400'000;
  static constexpr std::uint64_t least_skipped_bytes = std::uint64_t{8} << 20;
  static constexpr std::uint64_t most_skipped_bytes = std::uint64_t{8} << 30;

 private:
  std::uint64_t left_to_skip_bytes_ = 0;
  std::uint64_t next_skip_bytes_ = least_skipped_bytes;
};

// Touches a region of free pages that read as zero as one huge page, with no lock held: true when it is one.
bool touch_as_huge_page(std::uintptr_t first_page) noexcept;

}  // namespace tenure::core
