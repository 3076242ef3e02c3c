// The answer of a leak scan: which live blocks of a process nothing leads to.
//
// A scan looks at a copy of the process, made in a moment (core/scan). The copy writes what it found to a file beside
// the region and bears its name: <session>/<pid>.<generation>.leaks. The process itself stores the magic last, when the
// copy has ended, so a reader finds nothing or all of it. Whoever attaches finds the file as soon as the region can be
// read, locked (flock) for as long as an answer may still come.
//
//   0      leak_scan_header   one OS page: when, how long the program was held up, the sums
//   +4 KiB leak_record[]      definite ones first, then possible, then indirect ones
//          held_record[]      when asked for: what is reachable or possible, and where the pointer to it lies; each
//                             behind the one that it lies in, so none is farther from a root than those behind it
//          root_range[]       where roots lie
//
// A block is
//   reachable   a pointer to its start lies in a root (writable data, stacks, registers, thread-local storage) or in a
//               block that is reachable
//   possible    only pointers into its inside lead to it, or to what leads to it
//   definite    nothing reachable or possible leads to it; of several that lead to each other, one
//   indirect    only definite ones lead to it: it would go with them
#pragma once

#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint64_t leak_scan_magic = 0x314b41454c454e54;  // "TNELEAK1" in memory order
inline constexpr std::uint32_t leak_scan_version = 2;
inline constexpr std::uint64_t leak_records_offset_bytes = 4096;
inline constexpr std::uint64_t leak_record_limit = std::uint64_t{1} << 22;

enum class block_reach : std::uint32_t { reachable = 0, definite = 1, possible = 2, indirect = 3 };
inline constexpr std::uint32_t block_reach_count = 4;

// Why a scan has no answer.
enum class scan_refusal : std::uint32_t {
  none = 0,
  threads_unknown = 1,   // /proc is not there: nobody knows which threads there are
  no_copy = 2,           // the kernel refused to copy the process
  no_memory = 3,         // the copy found no memory for its tables
  copy_died = 4,         // something ended the copy
  unsupported = 5,       // built with a sanitizer
  already_scanning = 6,  // one that was asked for before has not ended
  no_thread = 7,         // the kernel refused a thread
  inside_the_heap = 8,   // at exit: a signal handler that had interrupted malloc or free called exit()
};
inline constexpr std::uint32_t scan_refusal_count = 9;

struct block_sum {
  std::uint64_t blocks;
  std::uint64_t bytes;  // usable
};

struct leak_scan_header {
  std::uint64_t magic;  // written last
  std::uint32_t version;
  std::uint32_t refusal;  // enum scan_refusal
  std::uint64_t time_ns;  // CLOCK_MONOTONIC, of the copy
  // How long the program's threads were held up, all in all and its parts: until the heap's locks were had, until the
  // threads stood still, until the copy was made.
  std::uint64_t pause_ns, lock_ns, stop_ns, copy_ns;
  std::uint64_t scan_ns;    // the copy's work, while the program ran on
  std::uint32_t threads;    // the one that asked included
  std::uint32_t unstopped;  // of these, whose registers could not be read
  block_sum sums[block_reach_count];
  std::uint64_t root_bytes;        // that were looked through
  std::uint64_t heuristic_blocks;  // reached from the inside, and known to be held (std::string, new[], a second base)
  std::uint64_t unread_lists;      // of the threads' caches: their free blocks count as live
  std::uint64_t record_count;
  std::uint64_t left_out_records;  // more than leak_record_limit, or no room for them
  std::uint64_t held_count;        // of held_record
  std::uint64_t left_out_held;     // likewise
  std::uint64_t root_count;        // of root_range
  std::uint64_t heap_map_bytes;    // of heap_map.h, when that was asked for instead
};
static_assert(sizeof(leak_scan_header) <= leak_records_offset_bytes);

struct leak_record {
  std::uint64_t address;
  std::uint64_t bytes;      // usable
  std::uint64_t sample_id;  // event.h; 0: it was not sampled
  std::uint32_t reach;      // enum block_reach
  std::uint32_t reserved;
  std::uint64_t leader;  // of an indirect one: the definite one with which it would go
  block_sum held;        // of a definite one: those that would go with it
};
static_assert(sizeof(leak_record) == 56);

// A block that is reachable or possible, by the first of the shortest ways from a root that was found. Of an attached
// process: one that was sampled, or by which such a one is reached; of one that ends, each.
struct held_record {
  std::uint64_t address;
  std::uint64_t bytes;      // usable
  std::uint64_t sample_id;  // event.h; 0: it was not sampled
  std::uint64_t place;      // of the pointer: in a root, or in the block that holds this one
  std::uint64_t inside;     // how far into the block it points
  std::uint32_t reach;      // enum block_reach
  std::uint32_t reserved;
};
static_assert(sizeof(held_record) == 48);

enum class root_kind : std::uint32_t {
  memory = 0,          // data of modules, what the program has mapped
  thread_storage = 1,  // storage that came with a thread, its control block included
  stack = 2,
  registers = 3,  // where the kernel put them when the thread was stopped
};
inline constexpr std::uint32_t root_kind_count = 4;

struct root_range {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint32_t kind;    // enum root_kind
  std::uint32_t thread;  // its number; 0: of memory
  std::uint64_t base;    // thread-local: the thread pointer; of a stack, its pointer
};
static_assert(sizeof(root_range) == 32);

}  // namespace tenure::wire
