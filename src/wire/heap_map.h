// Heap map: every span of a heap at one moment, and which of its blocks are in use. The answer to a wish of its own,
// made as that of a leak scan is (leak_scan.h): in a copy of the process, in a file of the same name with its header.
//
//   0       leak_scan_header   of its counts heap_map_bytes alone
//   +4 KiB  heap_statistics    the heap's counters of the same moment
//   +12 KiB span_record, and behind it a bit for each of its blocks, in whole words; the next one, and so on, in order
//   of
//           their addresses. They fill heap_map_bytes.
//
// A bit is set where the program has the block. What a thread's cache or a batch between threads holds is told by
// count.
#pragma once

#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint64_t map_statistics_offset_bytes = 4096;
inline constexpr std::uint64_t map_spans_offset_bytes = 12288;
inline constexpr std::uint64_t heap_map_limit_bytes = std::uint64_t{1} << 30;

enum class mapped_kind : std::uint32_t {
  small = 0,    // blocks of one size class
  large = 1,    // one block
  sampled = 2,  // blocks of one size class that are live samples
  named_small = 3,
  named_large = 4,
  free_dirty = 5,  // free pages that may be resident
  free_clean = 6,  // free pages that cost nothing
};
inline constexpr std::uint32_t mapped_kind_count = 7;

struct span_record {
  std::uint64_t begin;
  std::uint64_t bytes;
  std::uint64_t first_block;  // below, 0 of free pages
  std::uint64_t block_bytes;
  std::uint32_t block_count;
  std::uint32_t kind;  // enum mapped_kind
  std::uint32_t live_blocks;
  std::uint32_t cached_blocks;    // in threads' caches
  std::uint32_t batch_blocks;     // in batches between threads
  std::uint32_t free_blocks;      // in the span itself,
  std::uint32_t absent_blocks;    // of which the memory of so many went back to the system,
  std::uint32_t unused_blocks;    // and so many were never handed out
  std::uint64_t requested_bytes;  // of a large block
};
static_assert(sizeof(span_record) == 72);

constexpr std::uint64_t map_words(std::uint32_t blocks) { return (std::uint64_t{blocks} + 63) / 64; }

}  // namespace tenure::wire
