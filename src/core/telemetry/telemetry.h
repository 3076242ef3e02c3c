// Telemetry: what the heap tells and to whom.
//
// The heap calls these from its slow paths. Nothing here allocates from the heap, takes a lock that the heap could
// hold, or blocks; every function may be called from any thread at any time, inside malloc.
//
//   heap slow path -> sample_clock (when) -> capture_stack (unwind.h) -> live samples -> ring in the region (region.h)
//
// TENURE_SESSION is how `tenure run` tells the programs it starts where their region files go: the absolute path of a
// folder. It is an arrangement between the command and this room, not an option for people, and stands in no table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/event.h"
#include "wire/heap_statistics.h"
#include "wire/region.h"

namespace tenure::telemetry {

// The block sizes of the heap's classes, by number; they outlive the process. Called once, before start(): every region
// names all of them from its beginning, whether blocks of a class were ever handed out or not.
void tell_size_classes(const std::uint32_t* block_bytes, std::size_t count) noexcept;

// Opens the region of this process when TENURE_SESSION names a session folder; without one, counters live in static
// memory and samples are kept in the process alone. Called once, from the heap's first slow path, before any other.
void start() noexcept;

// Before fork, while the heap holds its locks: keeps the counters as they are, because the region is shared with a
// parent that runs on, and who forks. Optional; without it the child starts from what it finds.
void before_fork() noexcept;

// In the child of fork: leaves the parent's region and opens one of its own (origin::fork). Counters, interval and live
// samples go on from where the parent stood; sample numbers too. What the child inherited is told to its reader as
// such, with the child's first sample or at finish(), each sample with its original number, time and thread; that of
// the thread that forked becomes the child's. So a child that only calls exec costs nothing and one that lives shows
// whose memory it holds.
void after_fork_in_child() noexcept;

// Whose malloc the program calls, once that is known. A child of fork says the same.
void tell_malloc_owner(wire::malloc_owner owner) noexcept;

// At exit: the text snapshots, the final state. Later calls do nothing.
void finish() noexcept;

// The counters the heap keeps in place. Never null after start(). The address changes once, in start(), and again in a
// forked child: the heap reads it afresh on each slow path (one load).
wire::heap_statistics& statistics() noexcept;

// The Poisson process over bytes, one clock a thread. The heap counts down `bytes_until_sample` by the bytes it is
// about to hand out; the block that brings it to zero or below is the sampled one, and next() draws the distance to the
// one after, from the end of that block. With interval_bytes 0 sampling is off: then nothing is sampled at the
// crossing, and next() looks whether it has been switched on.
struct sample_clock {
  std::int64_t bytes_until_sample = 0;  // 0 in a fresh thread: the first slow path calls reset()
  std::uint64_t random_state = 0;
  std::uint64_t interval_bytes = 0;  // mean in force for the running interval; 0: sampling is off

  // Seeds from the address, time and thread, and draws the first distance.
  void reset() noexcept;
  // Draws the distance to the next sample from an exponential distribution of mean sample_interval_bytes(), doubled
  // `doublings` times: the heap's way to keep a thread that allocates very fast from sampling all the time.
  void next(unsigned doublings = 0) noexcept;
};

// Mean distance in bytes; 0 is off. From TENURE_SAMPLE_INTERVAL at start, then from the control page.
std::uint64_t sample_interval_bytes() noexcept;
void set_sample_interval_bytes(std::uint64_t bytes) noexcept;

// One sampled allocation: captures the stack of the caller, remembers the block as a live sample and tells the reader.
void record_allocation(void* block, std::size_t requested_bytes, std::size_t usable_bytes, std::uint64_t interval_bytes,
                       wire::allocation_entry entry) noexcept;

// A block that was sampled goes. Costs a table look-up, a stack and an event. False, and nothing happens, when the
// block is not a live sample.
bool record_free(void* block) noexcept;
// By what a live sample was allocated; unknown where there is none at the address.
wire::allocation_entry entry_of_sample(std::uintptr_t address) noexcept;

// Every live sample in [begin, begin + bytes) goes: a named heap is destroyed. (Contract of the heap room.)
void record_free_range(std::uintptr_t begin, std::size_t bytes) noexcept;

// The live samples, for the in-process API; calls visit(context, sample) under no lock of the heap's. Returns the
// count.
struct live_sample {
  std::uint64_t sample_id, time_ns, address, requested_bytes, usable_bytes, interval_bytes;
  std::uint32_t thread_id, frame_count;
  const std::uint64_t* frames;
};
std::size_t visit_live_samples(void (*visit)(void* context, const live_sample& sample), void* context) noexcept;

// A scan for blocks that nothing leads to (wire/leak_scan.h) is wanted: whoever attaches wants it at once, and is
// answered by `scan`, which is called on a slow path, inside malloc, and must only start it. It gets the file for the
// answer, as create_scan_file() makes it, and
// what is to be told (wire/region.h).
void on_scan_wish(void (*scan)(int file, std::uint64_t wish)) noexcept;
// The session wants one when the process ends.
bool wants_scan_at_exit() noexcept;
// The whole wish: what is to be told.
std::uint64_t exit_scan_wish() noexcept;
// A fresh file for its answer, beside the region; negative when there is none. It is locked until close_scan_file():
// who waits for the answer sees that there will be none. One thread at a time.
int create_scan_file() noexcept;
void close_scan_file(int file) noexcept;

// For a copy of the process that runs alone, in which a lock may be held by a thread that is not there: the number of
// the live sample at the address, 0 for none.
std::uint64_t sample_id_at(std::uint64_t address) noexcept;

}  // namespace tenure::telemetry
