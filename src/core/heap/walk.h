// Looking at the whole heap while the program runs.
//
// A walk takes every lock of the heap, from the threads' caches down to the page heap. From then on the other threads
// can pop and push within their caches, until they need a slow path and wait. So it reads all lists, each one's room
// before its head, and then, behind a barrier on all threads, all heads and rooms again:
//   Every push has counted room down before it moves the head. Where room and head are what they were, no block was
//   pushed in between that was not popped again, so none that was popped came back: the list is as it was read.
//   If all are so, every list was as it was read, all of them at one moment. If one is not, all are read again; each
//   can move only as often as it has been granted allocations and frees.
// What is read of a list whose first block has been popped is the program's data: it is followed only as far as it
// leads to blocks of the class, and forgotten. With every free block known, all others that were ever cut from their
// spans are live. They are told after the locks have been let go, from marks made under them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/link.h"
#include "core/heap/size_class.h"
#include "core/pages/span.h"

namespace tenure::core {

// All locks, in their order; the calling thread is in a busy section meanwhile (thread_cache.h).
void lock_heap() noexcept;
void unlock_heap() noexcept;
// The two halves of unlock_heap(): the locks, and the section. Between them the child of a fork puts the heap in order.
void release_heap_locks() noexcept;
void leave_heap() noexcept;

// Whether the block, a block's start in a span of the class, is in one of the lists. Takes all locks.
bool is_free_block(const free_block* block, std::size_t size_class) noexcept;

// Under all locks, which nobody gives up meanwhile: each free block in a thread's cache or in a batch. The spans' own
// are known by their bits. The count of caches' lists that could not be read.
// In a copy in which nobody else runs each is told once; elsewhere some more often, until nothing has moved.
using block_visitor = void (*)(void* context, free_block* block);
std::uint64_t visit_cached_blocks(block_visitor visit_cached, block_visitor visit_batched, void* context) noexcept;

// How the blocks of a span in use lie: one large one, or `count` of a class, all of which are free where it is 0.
struct span_layout {
  std::uintptr_t first;
  std::uint64_t block_bytes;
  std::uint32_t count;
};
span_layout layout_of(const span* of) noexcept;

struct live_block {
  const void* address;
  std::size_t bytes;      // usable
  const char* heap_name;  // nullptr: the default heap
};

struct walk_totals {
  std::uint64_t blocks;
  std::uint64_t bytes;
  std::uint64_t unread_lists;  // caches' lists that could not be read: their blocks count as live
};

// Calls visit for each block that was live at one moment, with no lock held; it may allocate and free. Stops when it
// returns false. False when there is no memory for the marks.
bool walk_live_blocks(bool (*visit)(void* context, const live_block& block), void* context,
                      walk_totals* totals) noexcept;

struct class_figures {
  std::uint64_t block_bytes, spans, span_bytes, live_blocks, cached_blocks, batch_blocks, span_free_blocks;
};

// Exact at the moment of the call. Live and cached blocks of the default heap; named heaps are apart.
struct heap_figures {
  std::uint64_t live_bytes;  // usable bytes of blocks the program has: small and large, sampled included
  std::uint64_t live_blocks;
  std::uint64_t cached_bytes;      // in thread caches
  std::uint64_t batch_bytes;       // in batches between threads
  std::uint64_t fragmented_bytes;  // free blocks in spans, and the spans' ends
  std::uint64_t committed_bytes;   // chunk bytes without free clean pages
  std::uint64_t free_dirty_bytes, free_clean_bytes, chunk_bytes;
  std::uint64_t metadata_bytes;
  std::uint64_t large_bytes, large_blocks;
  std::uint64_t named_span_bytes, named_live_bytes, named_live_blocks;
  std::uint64_t thread_caches;
  std::uint64_t unread_lists;
  class_figures classes[class_count];
};
void read_figures(heap_figures* figures) noexcept;

// Every structure's check, under all locks.
void check_heap() noexcept;

}  // namespace tenure::core
