// The tape: the shared-memory file in which a process tells every allocation and free, while it is told to record.
//
// It lies beside the region (region.h) and bears its name: <session>/<pid>.<generation>.tape. The program creates it
// with its first recorded event, so a process that records nothing has none. It is sparse: what is not used costs
// nothing.
//
//   0         tape_header     one OS page: who, the clock, how many stacks and rings there are
//   +4 KiB    stack nodes     stack_node[stack_node_capacity], appended, never changed
//   +64 MiB.. rings           one for each thread that lives: tape_ring_header, then its words (ring_place_of)
//
// A stack is a number: that of its innermost node. A node holds a return address and the number of the node of its
// caller, which is always smaller; the chain ends in a root, which says how the walk ended. So a stack that differs
// from another in its innermost frames only costs those frames, and a record names it with four bytes.
//
//   main ── 7 ── read_table ── 8 ── grow ── 12      stack 12: grow < read_table < main
//                              └─── parse ── 13     stack 13: parse < read_table < main
//
// A ring has one writer, its thread, and one reader. Positions count 8-byte words and only grow; position % capacity is
// the place. The writer stores a record's words and then moves `head` with release order; the reader copies what lies
// before `head` and then moves `tail`. Nothing else is shared between two threads of the program: they meet only where
// a stack is seen for the first time. When a thread ends, its ring serves the next one, which says so with a record
// `thread`.
//
// Records are of two to five words:
//
//   word 0   63..60 kind, 59..56 entry, 47..0 address
//   word 1   ticks of the machine's clock (tape_header says what they are in nanoseconds)
//   allocation        word 2: 63..32 stack, 31..0 requested bytes
//   wide_allocation   word 2: 63..32 stack, word 3: requested bytes (4 GiB or more)
//   free              nothing more
//   thread            address: the kernel's thread id. What follows is told by that thread. Words 2 to 4: the ring's
//                     lost_allocations, lost_bytes and lost_frees until now, which are of those that had it before
//   free_range        word 2: bytes. Every block in [address, address + bytes) goes.
//   free_with_stack        word 2: 63..32 stack. Likewise what frees, where that was asked for.
//   free_range_with_stack  word 2: 63..32 stack, word 3: bytes
//
// Ticks order the records of different threads: an allocation is told after the block was had, a free before it is
// given up, so the free of an address comes before its next allocation, in ticks and in what the reader can see.
#pragma once

#include <cstdint>

namespace tenure::wire {

inline constexpr std::uint64_t tape_magic = 0x3145504154454e54;  // "TNETAPE1" in memory order
inline constexpr std::uint32_t tape_version = 3;

struct stack_node {
  std::uint32_t parent;
  std::uint32_t modules_told;  // module events (event.h) told before it: the address means one of those
  std::uint64_t address;       // return address
};
static_assert(sizeof(stack_node) == 16);

// Nodes without address and parent: how a walk ended.
enum class stack_root : std::uint32_t {
  complete = 0,
  limit = 1,     // there are more frames than tape_stack_capacity_frames
  no_rule = 2,   // the outermost frame has no unwind information
  not_kept = 3,  // there was no room for the stack: the nodes are used up
};
inline constexpr std::uint32_t stack_root_count = 4;
inline constexpr std::uint32_t stack_node_capacity = std::uint32_t{1} << 22;
inline constexpr std::uint32_t tape_stack_capacity_frames = 512;

struct tape_header {
  std::uint64_t magic;  // written last
  std::uint32_t version;
  std::uint32_t pid;
  std::uint64_t total_bytes;
  std::uint64_t begin_ticks;       // read at the same moment as
  std::uint64_t begin_ns;          // CLOCK_MONOTONIC
  std::uint32_t node_count;        // atomic: roots included; those at the end may not be written yet
  std::uint32_t ring_count;        // atomic: rings in use or used before
  std::uint64_t refused_nodes;     // atomic: frames for which there was no node
  std::uint64_t lost_allocations;  // atomic: told by nobody, because no ring was to be had
  std::uint64_t lost_bytes;        // atomic: requested bytes of those
  std::uint64_t lost_frees;        // atomic
  std::uint64_t reader_ns;         // atomic, written by the reader: CLOCK_MONOTONIC, so that nobody waits for the dead
  std::uint64_t reserved[16];
};
static_assert(sizeof(tape_header) <= 4096);

struct tape_ring_header {
  alignas(64) std::uint64_t head;  // atomic, words written
  std::uint64_t lost_allocations;  // atomic: the ring was full
  std::uint64_t lost_bytes;        // atomic: requested bytes of those
  std::uint64_t lost_frees;        // atomic
  std::uint64_t waits;             // atomic: how often the thread waited for the reader
  std::uint64_t wait_ns;           // atomic: how long
  alignas(64) std::uint64_t tail;  // atomic, words read (written by the reader)
};
static_assert(sizeof(tape_ring_header) == 128);

// What found a ring full.
struct tape_loss_counts {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;  // requested, of those allocations
  std::uint64_t frees = 0;
};

inline constexpr std::uint64_t tape_nodes_offset_bytes = 4096;
inline constexpr std::uint64_t tape_rings_offset_bytes =
    tape_nodes_offset_bytes + std::uint64_t{stack_node_capacity} * sizeof(stack_node);
inline constexpr std::uint64_t tape_ring_header_bytes = 4096;
// The first rings are long, for the few threads that most programs have; those of the many are short.
inline constexpr std::uint32_t long_ring_count = 32;
inline constexpr std::uint64_t long_ring_bytes = 1024 * 1024;
inline constexpr std::uint64_t short_ring_bytes = 256 * 1024;
inline constexpr std::uint32_t tape_ring_limit = 4096;

struct ring_place {
  std::uint64_t header_offset_bytes;
  std::uint64_t words_offset_bytes;
  std::uint64_t capacity_words;  // a power of two
};
constexpr ring_place ring_place_of(std::uint32_t ring) noexcept {
  constexpr std::uint64_t long_bytes = tape_ring_header_bytes + long_ring_bytes;
  constexpr std::uint64_t short_bytes = tape_ring_header_bytes + short_ring_bytes;
  const bool is_long = ring < long_ring_count;
  const std::uint64_t offset =
      tape_rings_offset_bytes +
      (is_long ? ring * long_bytes : long_ring_count * long_bytes + (ring - long_ring_count) * short_bytes);
  return {offset, offset + tape_ring_header_bytes, (is_long ? long_ring_bytes : short_ring_bytes) / 8};
}
inline constexpr std::uint64_t tape_bytes = ring_place_of(tape_ring_limit).header_offset_bytes;

enum class tape_kind : std::uint32_t {
  none = 0,
  allocation = 1,
  wide_allocation = 2,
  free = 3,
  thread = 4,
  free_range = 5,
  free_with_stack = 6,
  free_range_with_stack = 7,
};

inline constexpr unsigned tape_kind_shift = 60;
inline constexpr unsigned tape_entry_shift = 56;
inline constexpr std::uint64_t tape_address_mask = (std::uint64_t{1} << 48) - 1;
inline constexpr unsigned tape_stack_shift = 32;
inline constexpr std::uint64_t tape_narrow_limit_bytes = std::uint64_t{1} << 32;
inline constexpr std::uint64_t tape_record_limit_words = 5;

// Words of a record by its first one; 0: there is no such record.
constexpr std::uint64_t tape_record_words(std::uint64_t first) noexcept {
  switch (static_cast<tape_kind>(first >> tape_kind_shift)) {
    case tape_kind::allocation:
    case tape_kind::free_range:
    case tape_kind::free_with_stack:
      return 3;
    case tape_kind::wide_allocation:
    case tape_kind::free_range_with_stack:
      return 4;
    case tape_kind::free:
      return 2;
    case tape_kind::thread:
      return 5;
    default:
      return 0;
  }
}

}  // namespace tenure::wire
