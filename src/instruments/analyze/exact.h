// Exact figures: a recording replayed event by event, where samples would give estimates.
//
// One pass suffices for who held what at the peak, though nobody knows at the time that it is the peak: a stack that
// changes after the last moment of interest first puts down what it held then.
//
//   moment 1 ──────────── moment 2 (a new peak: moment 1 is forgotten) ──────────── end
//              A changes             A changes: puts down what it held at moment 2; B never does, and holds it still
//
// What is kept is one entry a stack and one a live block, and where stacks of frees were recorded one for each two
// stacks of which one frees what the other allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/profile.h"
#include "instruments/analyze/recording_walk.h"

namespace tenure::analyze {

struct exact_amount {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;  // as requested

  exact_amount& operator+=(const exact_amount& other) {
    blocks += other.blocks;
    bytes += other.bytes;
    return *this;
  }
  exact_amount& operator-=(const exact_amount& other) {
    blocks -= other.blocks;
    bytes -= other.bytes;
    return *this;
  }
  bool operator==(const exact_amount&) const = default;
};

struct exact_site {
  std::uint32_t stack = no_index;     // of a group: its heaviest, by bytes allocated
  std::uint32_t function = no_index;  // which of by_function; of one stack
  exact_amount at_begin;              // alive where what was kept of the recording begins, and not among the allocated
  exact_amount allocated;
  exact_amount freed;
  exact_amount freed_elsewhere;   // by another thread than allocated it
  exact_amount at_moment;         // live then
  exact_amount at_end;            // never freed
  exact_amount peak;              // of one stack alone: its most live bytes; of several, their sum
  std::uint64_t lifetime_ns = 0;  // of all blocks together; those that were never freed lived to the end

  exact_site& operator+=(const exact_site& other);
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
};

exact_report analyze_exactly(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                             const exact_options& options);

}  // namespace tenure::analyze
