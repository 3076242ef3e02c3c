// Exact figures: a recording replayed event by event, where samples would give estimates.
//
// How one pass suffices for who held what at the peak stands in record/stack_totals.h. A recording that was written to
// the end of its processes tells these totals itself: then a report of the whole replays nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/profile.h"
#include "instruments/analyze/recording_walk.h"
#include "instruments/record/stack_totals.h"

namespace tenure::analyze {

using exact_amount = record::block_amount;

struct exact_site : record::stack_total {
  std::uint32_t stack = no_index;     // of a group: its heaviest, by bytes allocated
  std::uint32_t function = no_index;  // which of by_function; of one stack
};

// What one function freed of a group's blocks.
struct exact_freer {
  std::string name;
  exact_amount amount;
  std::uint32_t stack = no_index;  // of the frees, the heaviest
  std::vector<frame> chain;        // of that stack, from the user frame outward
};

struct exact_group {
  std::string name;
  std::uint32_t stack_count = 0;
  exact_site totals;
  std::vector<frame> chain;           // of totals.stack, from the user frame outward
  std::vector<exact_freer> freed_by;  // where stacks of frees were recorded: by bytes, greatest first, at most a few
};

// What was freed on one stack.
struct exact_free {
  std::uint32_t stack = no_index;
  std::string function;  // the one that a report would name
  exact_amount amount;
};

struct exact_process {
  process_profile profile;  // its record, and the frames that were resolved; no samples
  collect::tape_losses losses;
  bool is_complete = false;
  std::uint64_t events = 0;
  std::uint64_t stray_frees = 0;               // of blocks whose allocation is not in the recording
  std::optional<record::told_figures> before;  // its beginning is not there: what had been told of it until then
  exact_site totals;
  exact_amount peak;  // the most live bytes, and the blocks of that moment
  std::uint64_t peak_time_ns = 0;
  std::uint64_t moment_ns = 0;
  std::uint64_t end_ns = 0;                // of what was looked at
  std::vector<exact_site> sites;           // one a stack, by bytes at the moment, greatest first
  std::vector<exact_group> by_function;    // the same order
  std::vector<exact_free> frees;           // by bytes, greatest first; empty unless stacks of frees were recorded
  std::optional<memory_breakdown> memory;  // of the whole process, at a moment near to the one of interest
};

struct exact_report {
  std::vector<exact_process> processes;
  collect::recording run;
  std::vector<std::string> command;
  bool is_complete = false;
  std::optional<std::string> damage;
  std::optional<collect::rotation> rotated;
  std::optional<collect::recording_source> source;  // it was imported
  std::size_t dropped_processes = 0;                // that had ended before what was kept
};

struct exact_options {
  selection selected = {};
  // Since the start of each process; without it, the peak of each.
  std::optional<std::uint64_t> at_ns = {};
  bool resolves_all_frames = false;  // for exports that name every frame, not only those that the report shows
  progress_function progress = {};
  bool replays_always = false;  // even where the recording tells the totals; for tests
};

exact_report analyze_exactly(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                             const exact_options& options);

}  // namespace tenure::analyze
