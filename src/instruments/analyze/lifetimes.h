// Lifetimes: how long blocks live, by the function that allocates them, from every allocation and free of a recording.
//
//   walk ──► one block dies ──► its age in time and in bytes ──► the function's two histograms ──► survival curves
//                          └──► who freed it ──► hand-overs, and by stacks of frees the functions that freed
//                          └──► short-lived? against the heap of that moment
//        ──► every event   ──► realloc chains
//
// The age in bytes is what the process allocated while the block lived, without the block. It does not depend on the
// machine, and says what a generation, an arena or a cache would have to hold for the block to die within it.
//
// Short-lived is a block that was freed before the process had allocated a tenth of what was live when it went. The
// limit is no fixed time or size: kept until then, in an arena that is emptied as a whole, all such blocks together
// would have cost at most a tenth of the heap.
//
// Memory grows with the functions and with what is alive at once, not with the length of the recording.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/age_histogram.h"
#include "instruments/analyze/exact.h"
#include "instruments/analyze/realloc_chains.h"

namespace tenure::analyze {

inline constexpr std::uint64_t short_lived_divisor = 10;  // of the live bytes

struct life_totals {
  exact_amount allocated;
  exact_amount freed;
  exact_amount freed_elsewhere;  // by another thread than allocated it
  exact_amount short_lived;
  exact_amount left;  // not freed at the end of what was looked at
  // Of what was allocated: as the heap's size classes round it up. 0 where the recording does not tell these.
  std::uint64_t usable_bytes = 0;
  age_histogram by_time;   // ns
  age_histogram by_bytes;  // allocated by the process meanwhile
  realloc_figures reallocs;

  life_totals& operator+=(const life_totals& other);
};

struct life_group {
  std::string name;
  std::uint32_t stack_count = 0;
  std::uint32_t stack = no_index;  // one of them, the first that was seen
  life_totals totals;
  std::vector<frame> chain;  // of that stack, from the user frame outward
};

// Blocks that threads of one name allocated and those of another freed.
struct hand_over {
  std::string from, to;
  bool is_same_thread = false;  // and not merely one of the same name
  exact_amount amount;
};

// Blocks that one function allocated and another, or the same, freed.
struct free_site {
  std::string allocated_in, freed_in;
  bool is_same_thread = false;
  exact_amount amount;
  std::uint32_t free_stack = no_index;  // one of them, the first that was seen
  std::vector<frame> chain;             // of that stack, from the user frame outward; of the heaviest sites only
};

struct life_process {
  walked_process walked;
  life_totals totals;
  std::vector<life_group> by_function;  // by bytes allocated, greatest first
  std::vector<hand_over> hand_overs;    // by bytes freed, greatest first
  bool knows_size_classes = false;      // of the heap
  bool knows_free_stacks = false;       // they were recorded
  std::vector<free_site> free_sites;    // likewise; empty unless they were
};

struct life_report {
  std::vector<life_process> processes;
  walked_run whole;
};

struct life_options {
  selection selected = {};
  progress_function progress = {};
};

life_report analyze_lifetimes(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                              const life_options& options);

}  // namespace tenure::analyze
