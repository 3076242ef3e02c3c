// Fragmentation: where the memory of a heap is that the program does not have, and who keeps it from going back.
//
//   span   | live | free | free | cached | batch | absent | not used yet | end |
//
// Every byte of the heap is one of these, or of a large block, or of free pages, so that they sum to the heap. A span
// is *sparse* when the program has blocks in it, and half of it or more is free memory that was used before: those few
// blocks pin it. What a sparse span pins is divided equally among its blocks in use, and so among the stacks that
// allocated them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/selection.h"

namespace tenure::analyze {

struct heap_sums {
  std::uint64_t live_bytes = 0;    // usable, of blocks in spans of size classes
  std::uint64_t large_bytes = 0;   // pages of large blocks
  std::uint64_t cached_bytes = 0;  // in threads' caches
  std::uint64_t batch_bytes = 0;   // in batches between threads
  std::uint64_t free_bytes = 0;    // in spans, and were used before
  std::uint64_t absent_bytes = 0;  // in spans, without memory: it went back
  std::uint64_t unused_bytes = 0;  // in spans, never handed out
  std::uint64_t tail_bytes = 0;    // in which no block fits
  std::uint64_t dirty_bytes = 0;   // free pages that may be resident
  std::uint64_t clean_bytes = 0;   // free pages that cost nothing

  std::uint64_t total() const {
    return live_bytes + large_bytes + cached_bytes + batch_bytes + free_bytes + absent_bytes + unused_bytes +
           tail_bytes + dirty_bytes + clean_bytes;
  }
};

// One size class, in spans of malloc's own, of samples and of named heaps alike.
struct class_fragments {
  std::uint64_t block_bytes = 0;
  std::uint64_t spans = 0;
  std::uint64_t span_bytes = 0;
  heap_sums sums;
  std::uint64_t live_blocks = 0;
  std::uint64_t sparse_spans = 0;
  std::uint64_t pinned_bytes = 0;
  exact_amount requested;  // of the blocks whose requested size is known
};

struct fragment_site {
  std::uint32_t stack = no_index;  // no_index: all whose stack is not known
  exact_amount live;               // as requested where that is known
  std::uint64_t usable_bytes = 0;
  exact_amount survivors;        // of these, in sparse spans
  std::uint64_t spans = 0;       // sparse ones with a block of the site
  std::uint64_t lone_spans = 0;  // of these, with no other site's
  std::uint64_t pinned_bytes = 0;
  std::vector<frame> chain;  // from the user frame outward

  std::uint64_t rounding_bytes() const { return usable_bytes > live.bytes ? usable_bytes - live.bytes : 0; }
};

struct fragmented_process {
  process_profile profile;
  heap_sums sums;
  std::vector<class_fragments> classes;  // by block size
  std::vector<fragment_site> sites;      // by what they pin, greatest first; all that were chosen
  exact_amount known;                    // blocks in use whose stack is known
  std::uint64_t live_blocks = 0;
  std::uint64_t sparse_spans = 0;
  std::uint64_t pinned_bytes = 0;
  std::uint64_t large_slack_bytes = 0;  // what pages add to large blocks
  bool is_recorded = false;
  bool agrees = false;  // the spans sum to the heap's own counters
  std::string map;      // a character a piece of the heap
  std::uint64_t map_piece_bytes = 0;
  std::vector<finding> advice;
};

inline constexpr std::size_t map_columns = 64;

struct fragmentation_report {
  std::vector<fragmented_process> processes;
  std::vector<std::string> notes;
};

// `is_recorded`: while every allocation was recorded.
fragmentation_report find_fragments(collect::recording&& watched, symbols::symbolizer& symbolizer,
                                    const selection& selected, bool is_recorded);

}  // namespace tenure::analyze
