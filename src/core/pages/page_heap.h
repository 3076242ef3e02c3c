// The page heap: free runs of pages, where spans come from and go to, and where memory goes back to the OS.
//
//   request -> free_dirty, best fit (may be resident: reused first)
//           -> free_clean, best fit
//           -> more of the window
//   return  -> free_dirty, merged with dirty neighbours, dated
//   decay   -> runs older than the `decay` option are taken out of the lists (kind releasing), the lock is let go, the
//              kernel works, the lock is taken and the run comes back as free_clean, merged with clean neighbours.
//   growth  -> a large heap is 2 MiB ahead of its small blocks: free_clean, releasing while the kernel makes them one
//              huge page (huge_pages.h), free_dirty
//
// The decay runs on Tenure's own thread once there is enough to return (background.h), otherwise on the slow path that
// finds it due; never on a fast path and never with a lock held while the kernel works.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/span.h"

namespace tenure::core {

// A heap of this size is worth looking after: what it does not use goes back, what is dense gets huge pages.
inline constexpr std::size_t notable_heap_bytes = std::size_t{32} << 20;

// `pages` pages whose first address is a multiple of alignment_pages. The span is `kind`, in the span
// map, with class 0. Null when the system refuses. `zeroed` tells whether the pages read as zero; when want_clean is
// true, clean pages are preferred (calloc, a block about to receive pages by mremap).
span* allocate_span(std::uint32_t pages, std::uint32_t alignment_pages, span_kind kind, bool want_clean) noexcept;

// Room for a bit for each block of a span, which release_span() gives back; not zeroed. Null when the system refuses.
std::uint64_t* allocate_bits(std::uint32_t blocks) noexcept;

// Whether allocate_span() has taken a region out of a large heap's free pages that is to become a huge page; and makes
// it one and puts it back, which may take a while: outside of every section and lock. A thread that finds nothing to do
// any more returns at once.
bool has_begun_region() noexcept;
void build_begun_region() noexcept;
// As at the start, for tests.
void forget_huge_page_pacing() noexcept;

// Takes the span back; it must be in no list. `clean`: its pages were already returned to the OS.
void release_span(span* released, bool clean) noexcept;

// The span's addresses are not mapped any more and must not be used: the record stays as their tombstone.
void abandon_span(span* abandoned) noexcept;

// Grows or shrinks a span where it stands. Growing takes the pages from the free run behind it, or the window's end;
// false when there is none. Shrinking always works; `tail_is_clean`: the pages given up were never touched.
bool grow_span(span* grown, std::uint32_t pages) noexcept;
void shrink_span(span* shrunk, std::uint32_t pages, bool tail_is_clean = false) noexcept;

// Returns to the OS what has been free for `age_ns` at least (0: everything). Bytes returned. One thread at a time; a
// second caller returns 0 at once.
std::size_t return_pages(std::uint64_t age_ns) noexcept;

std::size_t dirty_bytes() noexcept;
std::size_t used_bytes() noexcept;

// Whether every page of [first, first + count) is of a span in use. Takes the lock.
bool is_dense(std::uintptr_t first_page, std::uintptr_t count) noexcept;

// Every span in use, or every span at all, in address order. The page heap's lock is held by the caller
// (lock_page_heap).
void visit_spans(void (*visit)(void* context, span* visited), void* context, bool free_runs_too = false) noexcept;
// The parts of the window below its top that are not the heap's, because somebody else has mapped something there; in
// address order, under the same lock.
void visit_window_gaps(void (*visit)(void* context, std::uintptr_t begin, std::uintptr_t end), void* context) noexcept;

void lock_page_heap() noexcept;
void unlock_page_heap() noexcept;
// In the child of fork, where the thread that was returning pages is gone: what it had taken out is put back.
void recover_page_heap_after_fork() noexcept;

// Consistency of the free runs: links, merging, map entries, totals. Under the lock.
void check_page_heap() noexcept;

// Called with no lock held when there is something to look after: dirty pages past a threshold, or a heap that has
// grown. The heap starts the background thread from it.
void on_change(void (*callback)()) noexcept;

}  // namespace tenure::core
