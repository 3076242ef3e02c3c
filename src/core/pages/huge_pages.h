// Huge pages where the heap is dense.
//
// The window is looked at in regions of 2 MiB, the size of a huge page. A region whose pages are all in use and
// almost all resident, at some looks in a row, is rebuilt as one huge page by the kernel (MADV_COLLAPSE, 6.1): nothing
// becomes resident that was not, and no allocation waits for it, since only the background thread does this. When pages
// of the region are returned to the system, the kernel takes the huge page apart and the region counts as sparse again.
//
// Rejected: asking for huge pages when a chunk is mapped (MADV_HUGEPAGE). The first touch of each 2 MiB then makes all
// of it resident, for a block that may need 16 KiB of it.
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

}  // namespace tenure::core
