// tenure::huge_page: blocks in memory that huge pages back.
//
//   region, 32 MiB, aligned to 2 MiB:  [2 MiB huge page][2 MiB huge page] ...
//   blocks of a buddy in it            [1 MiB][512K][4K]...
//
// Regions come from the system and are offered to transparent huge pages, or are of reserved ones (hugetlbfs), which
// are refused where there are none free. A touched huge page is resident as a whole: blocks are put where they break
// the least, so few huge pages are begun. huge_bytes() tells what the kernel has really backed with huge pages.
//
//     tenure::huge_page pages({.name = "index"});
//     tenure::arena memory({.name = "index nodes", .largest_chunk_bytes = 2 << 20, .upstream = &pages});
//
// When: large tables that are read at random, whose addresses do not fit the processor's translation cache; as the
// upstream of an arena, a pool or a slab. When not: small blocks of their own, which take 4 KiB each; memory that is
// used sparsely, which huge pages make resident.
//
// A release of what is no block in use, or with another size, ends in a message, always; with checks on with both
// sites.
//
// One thread at a time. Errors: std::bad_alloc, for alignments beyond 2 MiB too; std::invalid_argument for regions that
// are no power of two of at least 2 MiB. Cost: a buddy's, docs/library/huge_page.md.
// Source: Linux, Documentation/admin-guide/mm/transhuge.rst and hugetlbpage.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <tenure/detail/region_resource.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

enum class huge_page_kind {
  transparent,  // as the kernel finds them; where it finds none the memory is there all the same
  reserved,     // of the pool that the administrator has set aside (vm.nr_hugepages), for certain
};

struct huge_page_options {
  std::string_view name = "huge pages";
  huge_page_kind pages = huge_page_kind::transparent;
  std::size_t region_bytes = 32 << 20;  // a larger block gets a region of its own
  std::size_t smallest_bytes = 4096;    // a power of two
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

class TENURE_API huge_page final : public detail::region_resource {
 public:
  static constexpr std::size_t page_bytes = alignment_bytes;

  explicit huge_page(const huge_page_options& options = {});

  // Of the regions, what is backed by huge pages now. Reads /proc/self/smaps; 0 where that cannot be read.
  std::size_t huge_bytes() const;

 private:
  std::uintptr_t map_region(std::size_t bytes) const override;

  huge_page_kind pages_;
};

}  // namespace tenure
