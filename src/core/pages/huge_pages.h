// Huge pages: where the heap is dense, and ahead of a heap that grows while they are cheap.
//
// The window is looked at in regions of 2 MiB, the size of a huge page. A region whose pages are all in use and
// almost all resident, at some looks in a row, is rebuilt as one huge page by the kernel (MADV_COLLAPSE, 6.1): nothing
// becomes resident that was not, and no allocation waits for it, since only the background thread does this.
//
// A large heap whose small blocks go on to fresh pages has the region that it begins built in the same way at once, by
// the thread that grows it, with no lock held and outside of every section: one system call for 500 page faults. How
// long that took decides about the next one. Where it is dear, since the kernel has to make room first, waits for
// another processor, or the host of a virtual machine has no huge page at hand, the heap grows page by page as ever,
// for longer after each such time.
//
// When pages of a region are returned to the system, the kernel takes the huge page apart and the region counts as
// sparse again.
//
// Rejected: asking for huge pages when a chunk is mapped, or for one region (MADV_HUGEPAGE). The first touch of each
// 2 MiB then makes all of it resident, for a block that may need 16 KiB of it; and the kernel keeps what has been asked
// for as mappings of their own, which mremap cannot move together.
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

// Builds the region's huge page now, from what is there and zeroes; true when there is one. Thread-safe, whatever the
// program does with the region meanwhile.
bool build_huge_page(std::size_t region) noexcept;

// When to build a region ahead: an answer to how long it took before. Guarded by the page heap's lock.
class huge_page_pacing {
 public:
  // The heap goes on to `pages` fresh ones. True when the region that they begin is to be built now.
  bool wants_region(std::uint64_t pages) noexcept;
  // What came of it: whether there is a huge page now, and the time that passed.
  void note(bool is_huge, std::uint64_t took_ns) noexcept;

  // 512 faults take 0.8 to 1.1 ms in a virtual machine, and some 0.3 on bare metal, where a huge page takes 0.1.
  static constexpr std::uint64_t most_ns = 400'000;
  static constexpr std::uint64_t least_skipped_bytes = std::uint64_t{8} << 20;
  static constexpr std::uint64_t most_skipped_bytes = std::uint64_t{8} << 30;

 private:
  std::uint64_t left_to_skip_bytes_ = 0;
  std::uint64_t next_skip_bytes_ = least_skipped_bytes;
};

}  // namespace tenure::core
