// Profile: what follows from a recording. The one data model that every report, export and dashboard is written from.
//
//   recording ──► analyze() ──► profile ──► text, JSON, pprof
//     sample         weight        estimate with its variance
//     stack          symbols       call_site: allocated, live at the peak, live at exit, lifetimes
//     memory_map     parts         memory_breakdown: parts that sum to RSS exactly
//
// A figure made from samples is an `estimate`: a value and its variance, so that an error can be printed beside it. A
// figure that was counted or read from the kernel is a plain integer.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instruments/collect/recording.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::analyze {

using collect::no_index;
using symbols::frame;

struct estimate {
  double value = 0;
  double variance = 0;

  double standard_error() const { return std::sqrt(variance); }
  // Relative standard error; 0 for an empty sum.
  double relative_error() const { return value > 0 ? standard_error() / value : 0; }
  estimate& operator+=(const estimate& other) {
    value += other.value;
    variance += other.variance;
    return *this;
  }
};

// Blocks and bytes, unbiased sample by sample before summing.
struct amount {
  estimate bytes;         // as requested
  estimate usable_bytes;  // as the heap rounds them up
  estimate blocks;
  std::uint64_t samples = 0;

  amount& operator+=(const amount& other) {
    bytes += other.bytes;
    usable_bytes += other.usable_bytes;
    blocks += other.blocks;
    samples += other.samples;
    return *this;
  }
  double average_block_bytes() const { return blocks.value > 0 ? bytes.value / blocks.value : 0; }
};

// What one sample stands for: p = 1 - exp(-usable / interval), 1/p blocks, requested/p bytes; the variance of an
// estimated sum is the sum over its samples of (1 - p) / p^2 * size^2.
amount weight_of(const collect::sample& sample);

inline constexpr std::size_t lifetime_bucket_count = 64;

// When the blocks of a site go away. Bytes are sampled, unbiased ones. Blocks that were never freed are censored
// observations: they have lived at least until the end. Quantiles are of the Kaplan-Meier estimate over bytes; one that
// the survival curve does not reach is absent.
struct lifetime_summary {
  std::array<double, lifetime_bucket_count> freed_bytes_by_log2_ns{};  // [k]: lifetimes in [2^k, 2^(k+1)) ns
  amount freed;
  amount never_freed;
  std::optional<std::uint64_t> quartile_ns;  // a quarter of the bytes is gone after this time
  std::optional<std::uint64_t> median_ns;
  std::optional<std::uint64_t> third_quartile_ns;
  std::optional<std::uint64_t> ninth_decile_ns;
  double freed_by_other_thread_bytes = 0;
  // Where the stacks of frees are known: which freed how much of the bytes, greatest first.
  struct freed_by_stack {
    std::uint32_t stack = no_index;
    double bytes = 0;
  };
  std::vector<freed_by_stack> freed_by;
};

// One call site: one allocation stack (by stack), or what several have in common (by function, line, module, thread).
struct call_site {
  std::uint32_t stack = no_index;  // of the record; for a group, its heaviest member at the peak
  amount allocated;
  amount inherited;        // there when the telling began: live, but not allocated here, and in no lifetime
  amount inherited_freed;  // of those
  amount live_at_peak;
  amount live_at_exit;
  lifetime_summary lifetimes;
};

// A function that freed blocks of a group.
struct freeing_function {
  std::string name;
  double bytes = 0;
  std::vector<frame> chain;  // of its heaviest stack, from the user frame outward
};

struct site_group {
  std::string name;  // "std::vector<int>::reserve", "table.cc:42", "libfoo.so", "worker (4711)"
  std::uint32_t stack_count = 0;
  call_site totals;
  std::vector<frame> chain;  // of totals.stack, from the user frame outward; of the heaviest functions only
  std::vector<freeing_function> freed_by;  // likewise; by bytes, greatest first, at most a few
};

enum class part_kind {
  heap_live,           // blocks in the program's hands, as sampled, up to what is resident
  heap_rounding,       // what size classes add to the requested bytes
  heap_thread_caches,  // handed out by the heap but not seen live: thread caches, and the sampling error
  heap_central_free,   // free blocks in spans and in batches between threads
  heap_free_dirty,     // free pages not yet returned to the OS
  heap_metadata,
  other_anonymous,
  stacks,
  files,
  shared_memory,
  tenure_region,  // the shared file through which Tenure watches
  unexplained,
};
inline constexpr std::size_t part_kind_count = 12;

struct memory_part {
  part_kind kind = part_kind::unexplained;
  std::string name;
  std::uint64_t resident_bytes = 0;
  std::optional<estimate> sampled;   // where the part rests on samples: what they say, before it was held against RSS
  std::vector<memory_part> details;  // the greatest contributors; they need not sum to the part
};

// Parts sum to resident_bytes exactly.
struct memory_breakdown {
  std::uint64_t time_ns = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t swapped_bytes = 0;
  std::uint64_t heap_resident_bytes = 0;
  bool follows_frees = false;  // RSS had been about as high before, while far more was live: nothing to hold against it
  std::vector<memory_part> parts;  // in the order of part_kind, none empty
};

struct timeline_point {
  std::uint64_t time_ns = 0;
  std::uint64_t resident_bytes = 0;
  double live_bytes = 0;
};

struct finding {
  std::string code;  // stable name of the rule: "never-freed", "short-lived", "fragmentation"
  std::string text;  // one or two sentences, with figures and errors
};

// Of a process whose every allocation and free was recorded.
struct full_account {
  std::uint64_t events = 0;
  std::uint64_t stray_frees = 0;  // of blocks whose allocation is not in the recording
  collect::tape_losses losses;
  bool is_complete = false;  // it was recorded to its end
};

// What the heap counted itself, exactly: at no time was more live than it had taken, and at the end no more than it had
// handed out.
struct live_bounds {
  std::uint64_t peak_bytes = 0;
  std::uint64_t exit_bytes = 0;
  bool applies_at_peak = false;  // samples said more, and what was live was scaled down to it
  bool applies_at_exit = false;
};

// What lies in an account whose owner samples its objects, a managed heap: by type, and by where they were made.
struct content_group {
  std::string name;          // of the type, or of the function
  amount live;               // made, and not found dead
  std::vector<frame> chain;  // of the stack that made most, from the user frame outward; of functions only
};
struct account_contents {
  std::uint32_t account = no_index;             // its record
  std::vector<content_group> by_type, by_site;  // by bytes, greatest first
};

struct process_profile {
  collect::process_record record;
  std::optional<full_account> full;        // with it, what others estimate was counted, and record.samples stays empty
  std::vector<std::vector<frame>> frames;  // parallel to record.locations, innermost first; empty: not resolved

  std::vector<call_site> sites;  // one a stack, by allocated bytes, greatest first
  amount allocated;
  amount inherited;
  amount inherited_freed;
  amount live_at_peak;
  amount live_at_exit;
  std::optional<live_bounds> bounds;  // of a sampled process whose heap told its counters
  lifetime_summary lifetimes;
  std::uint64_t live_peak_time_ns = 0;  // when the sampled live bytes were at their greatest

  std::uint64_t peak_resident_bytes = 0;
  std::uint64_t peak_resident_time_ns = 0;
  std::optional<memory_breakdown> memory_at_peak;
  std::optional<memory_breakdown> memory_at_exit;
  std::vector<timeline_point> timeline;
  std::array<amount, 3> live_late;  // at a half and three quarters of its time, and at its end

  std::vector<site_group> by_function, by_line, by_module, by_thread;  // by live bytes at the peak, greatest first
  std::vector<account_contents> contents;  // one an account, in the order of the ledger's records
  std::vector<finding> findings;

  // Whether there is anything to say of who owns what.
  bool has_sites() const { return !sites.empty(); }
};

struct profile {
  std::vector<process_profile> processes;  // in order of their start
  std::uint32_t main_process = no_index;   // the image that the command became; no_index: Tenure did not engage
  collect::recording run;                  // its `processes` have been moved into the profiles
  std::vector<std::string> symbol_notes;
};

}  // namespace tenure::analyze
