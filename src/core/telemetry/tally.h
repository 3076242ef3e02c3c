// Tallies: what one thread allocates between two moments, block by block. For tests (include/tenure/testing.hpp).
//
//   open_tally() ── the thread's malloc and free take their slow paths from here on ── end_tally() ── figures, sites
//
//   thread ──► innermost ──► outer ──► ...      each counts what happens; a block belongs to the innermost, and what
//                                               is left of it when that one ends goes to the one outside of it
//   block  ──► tallied_block {address, tally, bytes, stack}    so a free by any thread finds whose it was
//
// Small blocks of a tally lie where samples lie (heap/sampled.h), in pages whose frees take the slow path everywhere:
// so other threads need not be told that somebody counts. Where no tally is open and none of their blocks is alive, the
// heap's slow paths pay one load.
//
// All of it is under one lock, which is a leaf: nothing of the heap is called with it held. A signal handler that
// allocates while its thread is in here is missed, and counted as such.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::telemetry {

struct tally;

struct tally_figures {
  std::uint64_t allocations, allocated_bytes;  // bytes as requested
  std::uint64_t frees;                         // by the thread, of whatever block
  std::uint64_t live_blocks, live_bytes;       // of its allocations, freed by nobody
  std::uint64_t peak_live_bytes;
  std::uint64_t missed;  // allocations and frees that could not be looked at
};

// Return addresses, innermost first; the first of them are the heap's own.
struct tally_site {
  const std::uint64_t* frames;
  std::uint32_t frame_count;
  std::uint64_t allocations, allocated_bytes;
  std::uint64_t live_blocks, live_bytes;
};

struct own_tallies {
  tally* innermost;
  std::uint32_t suspensions;
  bool inside;  // this thread is in here: a signal handler must not enter
};
extern constinit thread_local own_tallies own_tally __attribute__((tls_model("initial-exec")));

// Tallies that are open, and blocks of theirs that are alive.
extern std::uint32_t tally_count;  // atomic

inline bool has_tallies() noexcept { return __builtin_expect(__atomic_load_n(&tally_count, __ATOMIC_RELAXED) != 0, 0); }
// Whether the calling thread's allocations are counted.
inline bool is_tallied() noexcept {
  return has_tallies() && own_tally.innermost != nullptr && own_tally.suspensions == 0;
}

// Null when there is no memory for one. The heap has to be told as well: follow_recording_now().
tally* open_tally() noexcept;
// What it has counted stays as it is. False, and nothing happens, when it is not an open one of this thread's.
bool end_tally(tally* ended) noexcept;
// Of one that has ended; its memory is used again.
void release_tally(tally* released) noexcept;

// Of the whole thread, while it looks at what it has counted.
void suspend_tallies() noexcept;
void resume_tallies() noexcept;

tally_figures figures_of(const tally* of) noexcept;
// Calls visit(context, site) for each stack, with no lock held; stops when it returns 0. False when there was no memory
// for the copy that this takes.
bool visit_tally(const tally* of, int (*visit)(void* context, const tally_site& site), void* context) noexcept;

// From the heap, where has_tallies().
void tally_allocation(const void* block, std::size_t bytes) noexcept;
void tally_free(const void* block) noexcept;
void tally_free_range(std::uintptr_t begin, std::size_t bytes) noexcept;

void lock_tallies() noexcept;  // around fork
void unlock_tallies() noexcept;
void check_tallies() noexcept;

}  // namespace tenure::telemetry
