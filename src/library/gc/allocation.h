// Where cells come from: a thread's runs, and the blocks from which they are taken.
//
//   block     [ old | old | free | free | free | free | old | free | free | old | ... ]
//   run                     next ──▶             end          └── later ──┘
//
// A thread takes cells under the lock of their block's list and hands them out without one: a run of free cells, and of
// a block with holes what else is free in the same word of its bitmaps. They count as allocated from the moment they
// are taken; what was not handed out goes back when the thread collects or ends.
//
// A collector tells free cells of a run from objects by `next` alone, which the thread writes after the cell's address
// is in a root slot. It reads later, then end, then next; the thread that goes on to another run writes next, then end,
// then later. So a cell that the collector sees neither in a run nor in what comes later was handed out, and its
// address is in a slot or was.
#pragma once

#include "library/gc/heap_state.h"

namespace tenure::gc {

// Gives the calling thread's runs of `heap` a new one of the list. Throws std::bad_alloc. Within an operation.
enum class refilled : std::uint8_t { done, done_and_sampled, needs_block };
refilled refill(thread_state& self, heap_state& heap, std::size_t list);
// Goes on to the next run of those that the thread holds already; false: there is none.
bool next_run(detail::allocation_run& of, std::size_t cell_bytes) noexcept;

// A block of free cells for the list, with its lock held; window::npos: there is no memory for one.
std::size_t add_block(heap_state& heap, std::size_t list) noexcept;
// With the list's lock held: the next sweep looks at the block, whatever it looks at else.
void touch(const heap_state& heap, block_list& list, std::size_t block) noexcept;
// The heap's account is charged as much, for blocks to come. Throws std::bad_alloc. Outside of operations and locks.
void hold_bytes(heap_state& heap, std::size_t bytes);
// A large object's cell, zeroed; null when the account has no room. Throws std::bad_alloc. Within an operation.
char* make_large(heap_state& heap, object_kind kind, std::size_t bytes);

// Cells of the thread's runs that were not handed out are free again.
void retire_runs(thread_state& of) noexcept;
void free_runs(thread_state& of) noexcept;
// Those cells are alive in the cycle that has just begun.
void blacken_runs(const thread_state& of, heap_state& heap) noexcept;

}  // namespace tenure::gc
