// Recording: what the collector saw of one run, before anything is concluded from it.
//
// One process_record a process image: the command itself, each forked child, and each program that a watched process
// became by exec. Stacks, locations and modules are interned within the record, so that a sample is a few numbers:
//
//   sample ──► stack (locations, innermost first) ──► location (return address in a module) ──► module
//
// Times are CLOCK_MONOTONIC in nanoseconds throughout.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "instruments/collect/heap_map.h"
#include "instruments/collect/leak_scan.h"
#include "instruments/collect/resolved_names.h"
#include "instruments/symbols/symbolizer.h"
#include "wire/event.h"
#include "wire/region.h"

namespace tenure::collect {

inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

using symbols::module;

// A return address. `module` indexes process_record::modules, or is no_index where no known file was mapped (code made
// at run time, the vdso).
struct location {
  std::uint32_t module = no_index;
  std::uint64_t address = 0;
  bool operator==(const location&) const = default;
};

enum class stack_end : std::uint32_t { complete = 0, limit = 1, no_rule = 2 };

struct stack {
  std::vector<std::uint32_t> locations;  // indices of process_record::locations, innermost first
  stack_end end = stack_end::complete;
  bool operator==(const stack&) const = default;
};

struct thread {
  std::uint32_t id = 0;  // kernel tid
  std::string name;      // comm; empty when it was not told
};

// One sampled block, with its free when that was seen.
struct sample {
  std::uint64_t id = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t requested_bytes = 0;
  std::uint64_t usable_bytes = 0;
  std::uint64_t interval_bytes = 0;  // of the Poisson process in force
  std::uint64_t free_time_ns = never;
  std::uint32_t stack = no_index;
  std::uint32_t thread = no_index;
  std::uint32_t free_stack = no_index;
  std::uint32_t free_thread = no_index;
  wire::allocation_entry entry = wire::allocation_entry::unknown;
  bool is_inherited = false;  // it was there when the telling began: live, but not allocated here

  bool is_freed() const { return free_time_ns != never; }
};

// One line group of /proc/PID/smaps.
struct mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t anonymous_bytes = 0;  // of the resident bytes: private copies, not the file's pages
  std::uint64_t swapped_bytes = 0;
  std::string permissions;  // "r-xp"
  std::string name;         // path, "[stack]", "[heap]", "[anon:...]"; empty for plain anonymous memory
  bool operator==(const mapping&) const = default;
};

// One account of the program's ledger: exact figures that it keeps itself.
struct account {
  std::string name;
  std::string kind;                 // "heap", "arena" ...
  std::uint32_t record = no_index;  // its place in the ledger
  std::uint32_t parent = no_index;  // record of the account above, whose figures contain these
  bool is_open = false;             // false: its owner is gone, only the peaks and totals mean something
  bool publishes_use = false;       // the used figures are told apart from the held ones
  std::uint32_t openings = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t held_blocks = 0;
  std::uint64_t peak_held_bytes = 0;
  std::uint64_t soft_limit_bytes = wire::no_limit;
  std::uint64_t hard_limit_bytes = wire::no_limit;
  std::uint64_t refusals = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t used_blocks = 0;
  std::uint64_t peak_used_bytes = 0;
  std::uint64_t allocations = 0;
};

// What lies in an account, by type and call site: what its owner's samples of both stand for.
struct account_content {
  std::uint32_t account = no_index;  // its record
  std::string type;
  std::uint32_t stack = no_index;
  std::uint64_t bytes = 0;
  double objects = 0;
  std::uint64_t samples = 0;
};

// All mappings at one moment, with the heap's counters and the accounts of the same moment.
struct memory_map {
  std::uint64_t time_ns = 0;
  std::uint64_t resident_bytes = 0;  // the sum over the mappings
  bool truncated = false;            // the program's own copy at exit did not fit
  std::vector<mapping> mappings;
  wire::heap_statistics statistics{};
  std::vector<account> accounts;
};

struct resident_point {
  std::uint64_t time_ns = 0;
  std::uint64_t resident_bytes = 0;
};

// How a process image came to its end, as far as was seen. The numbers stand in recordings.
enum class process_end {
  running = 0,    // still there when the direct child had ended
  exited = 1,     // its last destructor ran
  replaced = 2,   // it called exec: a later record of the same pid follows
  vanished = 3,   // gone without its destructors; its parent, which is not us, knows how
  killed = 4,     // by a signal
  left = 5,       // by _exit or quick_exit: no destructor ran
  unwatched = 6,  // it became a program that Tenure is not loaded into
};
inline constexpr std::uint64_t process_end_count = 7;

// What one thread could not tell, because its ring was full.
struct thread_losses {
  std::uint32_t thread = 0;  // its number in the record
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;  // requested, of those allocations
  std::uint64_t frees = 0;
  bool operator==(const thread_losses&) const = default;
};

// What was not told, by what is known of it.
struct tape_losses {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;  // requested, of those allocations
  std::uint64_t frees = 0;
  std::uint64_t frames = 0;           // of stacks for which there was no room
  std::uint64_t refused_records = 0;  // that made no sense
  std::uint64_t waits = 0;            // of threads for the reader
  std::uint64_t wait_ns = 0;
  bool is_corrupt = false;  // a ring or the tape itself could not be read further
  // By thread, of those that lost something. What is missing to the sums was lost by threads that had no ring to say
  // who they are, or whose ring could not be read.
  std::vector<thread_losses> by_thread = {};
};

struct process_record {
  std::uint32_t pid = 0;
  std::uint32_t parent_pid = 0;
  std::uint32_t generation = 0;
  wire::origin origin = wire::origin::exec;
  wire::malloc_owner malloc_owner = wire::malloc_owner::unknown;
  process_end end = process_end::running;
  std::uint64_t start_ns = 0;
  std::uint64_t start_realtime_ns = 0;
  std::uint64_t end_ns = 0;  // of the process, or of the watching
  std::string executable;
  std::vector<std::string> command_line;
  std::uint32_t page_bytes = 4096;

  std::vector<module> modules;
  std::vector<location> locations;
  std::vector<stack> stacks;
  std::vector<thread> threads;
  std::vector<sample> samples;  // in the order of the ring

  // What the recording itself says of the locations: by their number, no_index or missing for those that it does not
  // name. Of a bundle, and of what was imported; null otherwise.
  std::shared_ptr<const resolved_names> names;
  std::vector<std::uint32_t> answers;

  std::optional<leak_scan> scan;              // the answer to one that was asked for
  std::optional<collect::heap_map> heap_map;  // or to a map that was
  bool is_scan_awaited = false;               // it was at one when the watching ended

  std::vector<resident_point> resident;  // timeline
  std::vector<memory_map> maps;          // the one of the greatest RSS, with most in use; empty when none was taken
  memory_map exit_map;                   // the last one: of the program's own at exit, or the newest that was read
  bool has_exit_map = false;

  wire::heap_statistics statistics{};     // the last state of the counters
  std::vector<account> accounts;          // the last state of the ledger, in the order of its records
  std::uint64_t refused_accounts = 0;     // owners for which the ledger had no record
  std::vector<account_content> contents;  // of accounts, at the end
  std::uint64_t refused_contents = 0;     // samples of them for which there was no record
  std::uint64_t dropped_events = 0;       // the ring was full
  std::uint64_t dropped_bytes = 0;        // weight of the dropped allocation samples
  std::uint64_t lost_bytes = 0;           // ring bytes without a readable record (writer killed in mid-write)
  std::uint64_t refused_events = 0;       // records whose contents made no sense
  std::uint64_t unmatched_frees = 0;      // frees of samples that were never told
  std::uint64_t overhead_ns = 0;          // thread time that the program spent on samples
  std::uint64_t overhead_bytes = 0;       // private memory that it held for them
  std::uint64_t region_resident_bytes = 0;
  std::uint64_t sample_interval_bytes = 0;  // last in force
};

// A program below the command that Tenure is not loaded into (unwatched.h).
struct unwatched_program {
  std::uint32_t pid = 0;
  std::string executable;  // path, or the name in brackets where the path may not be read
  std::uint64_t first_seen_ns = 0;
  std::uint64_t last_seen_ns = 0;
  std::uint64_t peak_resident_bytes = 0;  // the kernel's VmHWM when it was last seen
};

// What the command itself spent while the program ran.
struct collector_cost {
  std::uint64_t processor_ns = 0;
  std::uint64_t wake_ups = 0;
  std::uint64_t smaps_reads = 0;
  std::uint64_t smaps_ns = 0;
};

struct recording {
  std::uint32_t child_pid = 0;
  std::uint32_t attached_pid = 0;  // it ran before and was not started by us; 0: the child was
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  int exit_code = 0;                             // as a shell gives it: 128 + signal when killed
  int exit_signal = 0;                           // 0: it was not a signal
  std::uint64_t kernel_peak_resident_bytes = 0;  // ru_maxrss of the child and those it waited for; 0: not known
  std::uint64_t child_processor_ns = 0;
  std::vector<process_record> processes;     // in order of their start
  std::vector<unwatched_program> unwatched;  // in the order in which they were seen
  std::vector<std::string> notes;            // refused region files and the like, one sentence each
  collector_cost cost;
};

}  // namespace tenure::collect
