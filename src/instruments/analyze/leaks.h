// Leaks: blocks that nothing leads to any more, as a process found them (collect/leak_scan.h), and blocks that were
// never freed, as a recording tells; by the stack that allocated them.
//
//   scan       ──► blocks ──► suppressed? ──► by kind and stack ──► leak_site, with what would go with it
//   recording  ──► what lives at the end of each stack ────────────────┘
//
// An indirect block is suppressed with the definite one that it would go with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/growth.h"
#include "instruments/analyze/holders.h"
#include "instruments/analyze/selection.h"
#include "instruments/analyze/suppressions.h"

namespace tenure::analyze {

// In the order in which they are shown.
enum class leak_kind { definite, possible, indirect, never_freed };
inline constexpr std::size_t leak_kind_count = 4;

struct leak_site {
  leak_kind kind = leak_kind::definite;
  std::uint32_t stack = no_index;  // no_index: not known
  exact_amount leaked;             // as requested where that is known, else usable
  exact_amount held;               // of definite ones: what would go with them, usable
  amount sampled;                  // what the sampled ones among them stand for
  std::uint64_t first_ns = 0;      // when the oldest and the newest were allocated; 0: not known
  std::uint64_t last_ns = 0;
  std::vector<frame> chain;  // from the user frame outward
};

struct leak_process {
  process_profile profile;  // its record, and the frames that were resolved
  std::optional<wire::leak_scan_header> scan;
  bool is_recorded = false;              // every block's stack is known, but for what was lost
  std::vector<leak_site> sites;          // by kind, and by bytes with what they hold, greatest first
  exact_amount totals[leak_kind_count];  // without what was suppressed
  std::vector<held_site> held;           // what something leads to, when that was asked for; nothing is suppressed here
  exact_amount suppressed;               // of all kinds
  exact_amount without_stack;            // of what was not suppressed
  std::vector<growing_site> suspects;    // of a recording: what grows without end (growth.h), not suppressed
  std::size_t judged_functions = 0;      // how many could be judged
};

struct leak_report {
  std::vector<leak_process> processes;
  collect::recording run;  // its processes have been moved
  std::vector<std::string> command;
  std::vector<std::string> notes;
  std::optional<collect::recording_source> source = {};  // of a recording that was imported
};

// Those processes that were scanned or could have been. `is_recorded`: while every allocation was recorded. Where
// blocks are selected by what is known of them, those of which nothing is known are left out.
leak_report find_leaks(collect::recording&& watched, symbols::symbolizer& symbolizer, const suppressions& suppressed,
                       bool is_recorded, const selection& selected = {});

// What was never freed, of a recording.
leak_report find_never_freed(exact_report&& recorded, symbols::symbolizer& symbolizer, const suppressions& suppressed);
// And what grows in it, of the same recording.
void add_suspects(leak_report& report, std::vector<growth_process>&& growth, symbols::symbolizer& symbolizer,
                  const suppressions& suppressed);

}  // namespace tenure::analyze
