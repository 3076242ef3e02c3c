// The heap's counters, as they lie in the region (or, without a session, in the program's own memory).
//
// The heap updates them in place, with relaxed atomics, on its slow paths only; a reader on either side loads each one
// for itself. What the thread caches hold is counted as handed out here (`handed_out_bytes`): a thread's fast path
// counts nothing. heap::statistics() asks the caches too and is exact; a reader from outside shows the difference as
// "live or in thread caches".
//
//   chunk bytes = small spans + large spans + named heaps' spans + free dirty + free clean
//   small span bytes = handed out + free in central lists + absent + free in transfer batches + tails that fit no block
#pragma once

#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint32_t size_class_capacity = 128;

struct size_class_statistics {
  std::uint64_t block_bytes;  // 0: unused entry
  std::uint64_t span_count;
  std::uint64_t span_bytes;
  std::uint64_t central_free_blocks;  // carved or not yet carved, in spans
  std::uint64_t absent_blocks;        // free in spans, their memory back with the system
  std::uint64_t transfer_blocks;      // in batches between threads
  std::uint64_t handed_out_blocks;    // in the program's hands or in thread caches
};

struct heap_statistics {
  std::uint64_t chunk_bytes;       // address space mapped for the heap
  std::uint64_t small_span_bytes;  // spans of the size classes
  std::uint64_t large_span_bytes;  // spans of one large block each
  std::uint64_t large_span_count;
  std::uint64_t named_heap_span_bytes;  // spans of first-class heaps, and those of sampled blocks
  std::uint64_t sampled_span_bytes;     // small spans (a part of small_span_bytes) that hold sampled blocks
  std::uint64_t free_dirty_bytes;       // free pages that may be resident, waiting to be reused or returned
  std::uint64_t free_clean_bytes;       // free pages that cost nothing
  std::uint64_t metadata_bytes;         // committed for spans, page map, thread records
  std::uint64_t thread_cache_count;
  std::uint64_t thread_exit_count;
  std::uint64_t returned_bytes_total;  // given back to the OS
  std::uint64_t return_calls_total;    // madvise calls that gave it back
  std::uint64_t os_refusals_total;     // mmap, madvise or mremap calls that failed
  std::uint64_t huge_page_bytes;       // asked to be backed by huge pages now
  std::uint64_t large_allocations_total;
  std::uint64_t large_frees_total;
  std::uint64_t window_begin;  // the heap's address window: any block lies in [begin, end)
  std::uint64_t window_end;
  std::uint64_t peak_committed_bytes;  // most of chunk_bytes - free_clean_bytes
  std::uint64_t reserved[12];
  size_class_statistics classes[size_class_capacity];
};
static_assert(sizeof(heap_statistics) <= 8192);

}  // namespace tenure::wire
