// Events: what the program writes to the ring of its region, and the ring's rules.
//
// The ring is a byte ring of 8-byte words, many writers and one reader. It lies at ring_offset_bytes of the region; its
// first OS page is `ring_header`, the rest (`capacity_bytes`) holds
// records. Positions are byte counts that only grow; position % capacity is the place.
//
//   writer   reserves [head, head + bytes) by compare-and-swap on `head`, if head + bytes - tail <= capacity; otherwise
//   it
//            adds one to `dropped_events` and goes on: it never waits.
//            It writes the body first and the record's first word (`event_header`, which holds the length) last, with
//            release order: a record whose first word is zero is reserved but not written.
//   reader   takes records while the first word is not zero, zeroes what it has read (so that the next lap begins with
//            zeroes) and then moves `tail` with release order.
//   A record never wraps: where it would, the writer fills the rest of the lap with a `padding` record (within its own
//   reservation) and starts at place 0.
//   A writer killed between reserve and publish leaves a zero word: the reader of a dead process steps over it word by
//   word to the next plausible header and counts what it skipped as lost.
#pragma once

#include <cstdint>

#include "wire/region.h"

namespace tenure::wire {

inline constexpr std::uint32_t stack_capacity_frames = 128;

enum class event_kind : std::uint16_t {
  none = 0,
  padding = 1,
  allocation_sample = 2,
  free_sample = 3,
  module = 4,
  thread = 5,
  inherited_sample = 6,
};

struct event_header {
  std::uint16_t kind;   // event_kind
  std::uint16_t magic;  // event_magic, so that a reader can find its feet again
  std::uint32_t bytes;  // whole record, header included, multiple of 8
};
static_assert(sizeof(event_header) == 8);
inline constexpr std::uint16_t event_magic = 0x7e4a;

struct ring_header {
  std::uint64_t head;            // atomic, bytes reserved since the beginning
  std::uint64_t tail;            // atomic, bytes read since the beginning (written by the reader)
  std::uint64_t dropped_events;  // atomic
  std::uint64_t dropped_bytes;   // atomic: weight_bytes of dropped allocation samples, rounded
  std::uint64_t written_events;  // atomic
  std::uint64_t capacity_bytes;  // ring_capacity_bytes
};
inline constexpr std::uint64_t ring_records_offset_bytes = ring_offset_bytes + 4096;
inline constexpr std::uint64_t ring_capacity_bytes = ring_bytes - 4096;  // a multiple of 8

// One sampled allocation; as an inherited_sample, of a block that was there when the telling began: the parent had it
// before fork, or the process itself before it was attached to. Each of a block's bytes meets the sampler with the same
// small probability, so a block of `usable_bytes` is sampled with p = 1 - exp(-usable_bytes / interval_bytes) and
// stands for 1/p blocks:
//   blocks = 1 / p,   bytes = requested_bytes / p.
// The reader computes the weight from the two numbers; they are what was in force when this sample was taken.
struct allocation_sample_event {
  event_header header;
  std::uint64_t sample_id;  // counts from 1 in this process
  std::uint64_t time_ns;    // CLOCK_MONOTONIC
  std::uint64_t address;
  std::uint64_t requested_bytes;
  std::uint64_t usable_bytes;
  std::uint64_t interval_bytes;  // mean of the Poisson process when it was taken
  std::uint32_t thread_id;       // kernel tid
  std::uint32_t frame_count;     // return addresses that follow, innermost first, at most stack_capacity_frames
  std::uint32_t truncated;       // 1: the walk stopped at the limit; 2: it could not go on (no rule for the frame)
  std::uint32_t entry;           // which entry point: enum allocation_entry
  // std::uint64_t frames[frame_count];
};

enum class allocation_entry : std::uint32_t {
  unknown = 0,
  malloc = 1,
  calloc = 2,
  realloc = 3,
  aligned = 4,
  operator_new = 5,
  operator_new_array = 6,
  named_heap = 7,
};

// A sampled block was freed (or moved by realloc, which is a free and, if the sampler meets it, an allocation).
struct free_sample_event {
  event_header header;
  std::uint64_t sample_id;  // of the allocation
  std::uint64_t time_ns;
  std::uint64_t address;
  std::uint32_t thread_id;
  std::uint32_t frame_count;
  // std::uint64_t frames[frame_count];
};

// A file mapped with executable pages; told before the first stack that needs it.
struct module_event {
  event_header header;
  std::uint64_t time_ns;
  std::uint64_t begin;  // mapped range
  std::uint64_t end;
  std::uint64_t bias;            // address - bias is the address in the file's own program headers
  std::uint32_t build_id_bytes;  // 0 to 32
  std::uint32_t path_bytes;
  std::uint8_t build_id[32];
  // char path[path_bytes], padded with zeroes to a multiple of 8
};

// A thread's name (comm), told with its first sample.
struct thread_event {
  event_header header;
  std::uint64_t time_ns;
  std::uint32_t thread_id;
  std::uint32_t reserved;
  char name[16];
};

}  // namespace tenure::wire
