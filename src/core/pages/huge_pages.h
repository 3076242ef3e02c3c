// Huge pages: where the heap is dense, and ahead of a heap that grows while they are cheap.
//
// The window is looked at in regions of 2 MiB, the size of a huge page. A region whose pages are all in use and
// almost all resident, at some looks in a row, is rebuilt as one huge page by the kernel (MADV_COLLAPSE, 6.1): nothing
// becomes resident that was not, and no allocation waits for it, since only the background thread does this.
//
// A large heap whose small blocks go on to fresh pages is a region ahead of them: the thread that grows it takes one of
// free pages out of the lists, touches it with no lock held, in a busy section, and puts it back as pages
// that are resident. One fault for 512, and no page of it was touched before, so that the kernel has nothing to move
// and nobody to wait for. What that took decides about the next one: where it is dear, since the kernel has to make
// room first or the host of a virtual machine has no huge page at hand, the heap grows page by page for a while.
//
// When pages of a region are returned to the system, the kernel takes the huge page apart and the region counts as
// sparse again.
//
// Where the kernel gives huge pages on request (madvise), all of the window but its first chunk alone is told not to
// have any (MADV_NOHUGEPAGE), and a region is let have one for as long as it is built. To the kernel it is one mapping
// before and after: what differs in this is a mapping of its own, and mremap moves none together with another. Where it
// gives none (never), no allocating thread asks for one: what is dense gets them from the background thread alone.
//
// Rejected: asking for huge pages when a chunk is mapped. The first touch of each 2 MiB then makes all of it resident,
// for a block that may need 16 KiB of it.
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

struct built_region {
  bool is_huge;
  // Processor time, as page faults would have been interrupted by other threads as often; but real time where the
  // kernel waits for others.
  std::uint64_t took_ns;
  std::uint64_t faults_ns;  // what page faults take for a region; 0: not measured this time
};
// Builds the region's huge page now, of free pages that the caller holds: it is touched. Thread-safe.
built_region build_huge_page(std::size_t region) noexcept;

// What page faults take for a region, here and now: processor time of those of a mapping of its own, times 32. 0.1 ms
// and three system calls; 0 where there was no room for it. Thread-safe.
std::uint64_t measure_page_faults_ns() noexcept;

// What the kernel's policy is; once, before the program can be in a sandbox that knows no open(). Allocates nothing.
void learn_huge_page_policy() noexcept;
// The window has grown by [first, first + count), beyond the `pages_before` that it had. Under the page heap's lock.
void note_window_grown(std::uintptr_t pages_before, std::uintptr_t first_page, std::uintptr_t count) noexcept;
// Pages of [first, first + count) are a new mapping, which is to be as those around it. Thread-safe.
void note_mapped_afresh(std::uintptr_t first_page, std::uintptr_t count) noexcept;

// When to build a region ahead: for as long as it pays. A credit of time, to which each region that is built adds what
// page faults would have taken and from which it takes what building it took; where it has run out, growth by page
// faults earns an eighth of what that takes. So what is lost is an eighth of the time for growing, and `most_credit_ns`
// at the most, whatever the kernel does; and what may be won is found again within some regions. What page faults take
// differs by ten times between machines, and by three on one, and so it is measured now and then. Guarded by the page
// heap's lock.
class huge_page_pacing {
 public:
  // The heap has gone on to `fresh_pages` by page faults. True when the next region is to be built now.
  bool wants_region(std::uint64_t fresh_pages) noexcept;
  // What came of it.
  void note(const built_region& built) noexcept;
  // There was no room for a region, near a limit of the address space: a try takes system calls that are refused.
  void note_no_room() noexcept;

  std::int64_t faults_ns() const noexcept { return faults_ns_; }

  // 512 faults take 0.6 to 2 ms in a virtual machine, and some 0.3 on bare metal, where a huge page takes 0.1.
  static constexpr std::int64_t least_faults_ns = 200'000;
  static constexpr std::int64_t first_faults_ns = 400'000;
  static constexpr std::int64_t most_faults_ns = 4'000'000;  // the scratch pages were those that are dear
  static constexpr std::int64_t most_credit_ns = 8'000'000;
  static constexpr std::int64_t share_for_trying = 8;

 private:
  std::int64_t credit_ns_ = most_credit_ns;
  std::int64_t faults_ns_ = first_faults_ns;
};

}  // namespace tenure::core
