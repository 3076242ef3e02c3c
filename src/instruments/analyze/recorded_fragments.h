// Fragmentation of a recorded process at one moment: what can be told without addresses.
//
//   counters of the heap at that moment ──► parts: free in spans, in batches, free pages ...       exact
//   blocks that lived then ──────────────► handed out = in use + in threads' caches, by class       exact
//   both ────────────────────────────────► what a call site's blocks can keep from going back       bounds
//
// A recording does not say which blocks lie side by side. But a block keeps one span from going back at most, and all
// blocks of a class no more than what its spans hold free: so no call site pins more than
//
//   sum over classes of min(free in the class's spans, blocks of the site in the class * (span - block))
//
// and what each would pin if free memory were spread evenly over all that is handed out stands beside it, as an order
// to look at them in. A block that was aligned, or that realloc may have left in a larger class, counts in each class
// that it may be of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/fragmentation.h"
#include "instruments/analyze/selection.h"

namespace tenure::analyze {

struct recorded_class {
  std::uint64_t block_bytes = 0;
  std::uint64_t spans = 0;
  std::uint64_t span_bytes = 0;
  std::uint64_t handed_out_blocks = 0;  // in use, or in threads' caches
  std::uint64_t free_blocks = 0;        // in spans; those that were never handed out among them
  std::uint64_t absent_blocks = 0;      // in spans, without memory
  std::uint64_t batch_blocks = 0;
  exact_amount live;            // requested, of blocks of this size that are alive, wherever they lie
  std::uint64_t uncertain = 0;  // of these blocks, that may be of a larger class

  std::uint64_t free_bytes() const { return free_blocks * block_bytes; }
  std::uint64_t tail_bytes() const {
    const std::uint64_t blocks = handed_out_blocks + free_blocks + absent_blocks + batch_blocks;
    return span_bytes - std::min(span_bytes, blocks * block_bytes);
  }
};

struct recorded_fragment_site {
  std::uint32_t stack = no_index;
  exact_amount live;
  std::uint64_t usable_bytes = 0;
  std::uint64_t most_pinned_bytes = 0;  // that it can pin
  std::uint64_t even_pinned_bytes = 0;  // that it would, were free memory spread evenly
  std::uint64_t oldest_ns = 0;          // age of its oldest block
  std::vector<frame> chain;             // from the user frame outward
};

struct recorded_fragments {
  process_profile profile;
  bool is_known = false;        // there is a moment at which the heap's counters were told
  std::uint64_t moment_ns = 0;  // that one
  std::uint64_t resident_bytes = 0;
  heap_sums sums;                 // live: handed out, up to what is alive; unused is among free
  std::uint64_t named_bytes = 0;  // spans of named heaps, and those of sampled blocks
  std::uint64_t chunk_bytes = 0;  // as the heap told it: the sum of these
  live_then alive;                // all blocks, as usable
  std::uint64_t large_requested_bytes = 0;
  std::vector<recorded_class> classes;        // by block size, those with spans
  std::vector<recorded_fragment_site> sites;  // by what they would pin, greatest first
  bool is_complete = false;
  collect::tape_losses losses;

  std::uint64_t total_bytes() const { return sums.total() + named_bytes; }
};

struct recorded_fragmentation_report {
  std::vector<recorded_fragments> processes;
  std::vector<std::string> notes;
  bool is_complete = false;
  std::optional<std::string> damage;
  std::optional<collect::recording_source> source;
};

struct recorded_fragmentation_options {
  selection selected = {};                  // of the blocks whose call sites are told; a window ends at the moment
  std::optional<std::uint64_t> at_ns = {};  // since each process's start
  bool at_peak = false;                     // when most was in use; else, without a time, at the end
  progress_function progress = {};
};

recorded_fragmentation_report find_recorded_fragments(collect::recording_reader& reader,
                                                      symbols::symbolizer& symbolizer,
                                                      const recorded_fragmentation_options& options);

}  // namespace tenure::analyze
