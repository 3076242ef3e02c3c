// The region: one shared-memory file a process, in which a program that runs on Tenure tells what it does.
//
// The program creates the file in the session's folder (environment TENURE_SESSION, a folder on a tmpfs made by
// `tenure run`), maps it and writes fixed-layout records to it; the command maps the same file and reads. Nothing else
// crosses: no socket, no lock, no pipe. The pages belong to the file and not to the program, so after kill -9 or an
// out-of-memory kill they hold everything up to that moment. The reader trusts nothing in it: each offset, count and
// length is checked against the file's size before it is used.
//
//   file <session>/<pid>.<generation>.region
//   0            region_header        one OS page: who, since when, where the parts are
//   +4 KiB       control_page         written by the command, read by the program's slow paths
//   +8 KiB       heap_statistics      counters kept in place by the heap (heap_statistics.h)
//   +24 KiB      text snapshots       /proc/self/{cmdline,smaps} copied as they are, at start and at exit
//   +1.25 MiB    event ring           samples, frees, modules, threads (event.h)
//   +9.25 MiB    accounts             who holds how much, exactly, and samples of what lies in it (account.h)
//
// All integers are little-endian and naturally aligned. Fields that change while both sides run are accessed with
// __atomic built-ins; the layout itself is plain data, so that C, Python or a debugger can read it.
#pragma once

#include <cstdint>

#include "wire/account.h"
#include "wire/heap_statistics.h"

namespace tenure::wire {

inline constexpr std::uint64_t region_magic = 0x314e4f4947455254;  // "TREGION1" in memory order
inline constexpr std::uint32_t region_version = 9;

inline constexpr std::uint64_t header_offset_bytes = 0;
inline constexpr std::uint64_t control_offset_bytes = 4096;
inline constexpr std::uint64_t statistics_offset_bytes = 8192;
inline constexpr std::uint64_t text_offset_bytes = 24 * 1024;
inline constexpr std::uint64_t ring_offset_bytes = 1280 * 1024;
inline constexpr std::uint64_t ring_bytes = 8 * 1024 * 1024;  // a power of two
inline constexpr std::uint64_t accounts_offset_bytes = ring_offset_bytes + ring_bytes;
inline constexpr std::uint64_t region_bytes = accounts_offset_bytes + account_table_bytes;

// How the process came to be; attached: it had begun before, and is told from now on (bell.h).
enum class origin : std::uint32_t { exec = 0, fork = 1, attached = 2 };
inline constexpr std::uint32_t origin_count = 3;

// Where the process stands. `exited` is written by the last destructor; a region left at `running` whose process is
// gone was ended by a signal, by _exit or by exec, and the command says which from the wait status and the later
// regions. `left`: an attached process tells no more, as it was asked, and goes on.
enum class life : std::uint32_t { starting = 0, running = 1, exited = 2, left = 3 };

// Whose malloc the program calls: another one is told of as little as there is to know of its blocks.
enum class malloc_owner : std::uint32_t { unknown = 0, tenure = 1, other = 2 };
inline constexpr std::uint32_t malloc_owner_count = 3;

struct region_header {
  std::uint64_t magic;    // written last, when the rest of the header is complete
  std::uint32_t version;  // region_version
  std::uint32_t header_bytes;
  std::uint64_t total_bytes;
  std::uint32_t pid;
  std::uint32_t parent_pid;
  std::uint32_t origin;                // enum origin
  std::uint32_t life;                  // enum life, atomic
  std::uint64_t start_monotonic_ns;    // CLOCK_MONOTONIC
  std::uint64_t start_realtime_ns;     // CLOCK_REALTIME at the same moment
  std::uint64_t end_monotonic_ns;      // with life::exited
  std::uint64_t overhead_nanoseconds;  // atomic: thread time the program spent on samples (capture, ring), summed
  std::uint64_t overhead_bytes;        // atomic: private memory the program holds for sampling, without this file
  std::uint32_t cmdline_bytes;         // text_cmdline_offset_bytes, NUL-separated as in /proc
  std::uint32_t executable_bytes;      // text_executable_offset_bytes, not terminated
  std::uint32_t exit_smaps_bytes;      // text_smaps_offset_bytes: /proc/self/smaps at exit; 0: not taken
  std::uint32_t exit_smaps_truncated;  // 1: it did not fit
  std::uint64_t exit_resident_bytes;   // from /proc/self/statm, at exit, before the smaps copy
  std::uint32_t page_bytes;            // OS page
  std::uint32_t malloc_owner;          // enum malloc_owner, atomic: unknown until the library's constructor has asked
};
static_assert(sizeof(region_header) <= 4096);

inline constexpr std::uint64_t text_cmdline_offset_bytes = text_offset_bytes;
inline constexpr std::uint64_t text_cmdline_capacity_bytes = 64 * 1024;
inline constexpr std::uint64_t text_executable_offset_bytes = text_cmdline_offset_bytes + text_cmdline_capacity_bytes;
inline constexpr std::uint64_t text_executable_capacity_bytes = 4096;
inline constexpr std::uint64_t text_smaps_offset_bytes = text_executable_offset_bytes + text_executable_capacity_bytes;
inline constexpr std::uint64_t text_smaps_capacity_bytes = ring_offset_bytes - text_smaps_offset_bytes;

// Written by the command at any time, read by the program when it draws the next sampling interval. The program checks
// the value: 0 switches sampling off, anything below 4 KiB counts as 4 KiB.
//
// `recording` is what the program's slow paths look at. It holds the mode, whether frees tell their stacks, and what an
// attached process is asked for: its counters and accounts, which stay where they were and are copied here on request,
// or to leave.
struct control_page {
  std::uint64_t sample_interval_bytes;  // atomic; the program stores its own default at start
  std::uint32_t recording;              // atomic: recording_word(), control_*; from the session's wishes at start
  std::uint32_t reserved_word;
  std::uint64_t reader_ns;  // atomic, written by an attached reader: CLOCK_MONOTONIC, so that it is missed when gone
  std::uint64_t reserved[13];
};
inline constexpr std::uint32_t control_mode_mask = 3;
inline constexpr std::uint32_t control_free_stacks = 4;  // with a mode: a free is told with its stack
inline constexpr std::uint32_t control_copy = 8;         // the program clears it when it has copied
inline constexpr std::uint32_t control_leave = 16;       // answered with life::left

// Whether every allocation and free is told (tape.h), and what becomes of one that finds its ring full.
enum class recording_mode : std::uint32_t {
  off = 0,
  drop = 1,   // it is counted as lost, and the program goes on
  block = 2,  // the thread waits for the reader, as long as there is one
};

constexpr std::uint32_t recording_word(recording_mode mode, bool tells_free_stacks) noexcept {
  return static_cast<std::uint32_t>(mode) |
         (tells_free_stacks && mode != recording_mode::off ? control_free_stacks : 0);
}
// Whether it is one that recording_word() makes.
constexpr bool is_recording_word(std::uint32_t word) noexcept {
  const auto mode = static_cast<recording_mode>(word & control_mode_mask);
  return mode <= recording_mode::block && (word == recording_word(mode, false) || word == recording_word(mode, true));
}

// <session>/wishes: how the command wants processes of this session to start. Optional; read once a process, when it
// opens its region.
struct session_wishes {
  std::uint64_t magic;                  // wishes_magic
  std::uint32_t version;                // region_version
  std::uint32_t recording;              // recording_word()
  std::uint64_t sample_interval_bytes;  // of an attached process; 0: its own
  std::uint64_t scan = 0;               // enum scan_wish, scan_tells_holders, scan_maps_heap
};

// When the process is to look for blocks that nothing leads to (leak_scan.h).
enum class scan_wish : std::uint64_t {
  none = 0,
  at_exit = 1,  // when its destructors have run
  at_once = 2,  // when it has heard that somebody attaches
};
inline constexpr std::uint64_t scan_wish_mask = 15;
// What it finds: leaks, and who leads to what is reachable too; or what lies where in the heap (heap_map.h).
inline constexpr std::uint64_t scan_tells_holders = 16;
inline constexpr std::uint64_t scan_maps_heap = 32;
inline constexpr std::uint64_t wishes_magic = 0x3148534957454e54;  // "TNEWISH1" in memory order

static_assert(statistics_offset_bytes + sizeof(heap_statistics) <= text_offset_bytes);

}  // namespace tenure::wire
