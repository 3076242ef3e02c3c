// What a cycle does with what it did not mark.
#pragma once

#include <cstdint>

#include "library/gc/collect.h"
#include "library/gc/heap_state.h"

namespace tenure::gc {

// Objects that are not marked and have destructors: their members to other objects that are not marked become null,
// and they are queued; they count as marked from here on. False when there was no memory to queue one: it is alive
// until the next cycle.
bool queue_dead(heap_state& heap) noexcept;
// Runs the destructor of each object that is there, whatever leads to it.
void destroy_all(heap_state& heap) noexcept;

// Frees every cell that is neither marked nor born since the cycle began, and the blocks and large objects in which
// nothing is left; a young cycle's looks at no block in which all was old before. What was marked stays so: it is old.
// What was born is young still. Sets the figures of what is live.
void sweep(heap_state& heap, cycle_kind kind) noexcept;

// Of a plan that sweeps lazily. With the world stopped and marking complete: what is live is counted by the marks, and
// blocks are left as they are; then, with threads running, large objects go.
inline bool is_swept_lazily(const heap_state& heap) noexcept { return heap.plan == plan::mark_sweep_lazy; }
void leave_unswept(heap_state& heap) noexcept;
void sweep_large_alone(heap_state& heap) noexcept;
// With the list's lock held, which has no free cell: a few blocks are swept, until there is one. False: there is none.
bool sweep_for_room(heap_state& heap, block_list& list) noexcept;
// With the cycle lock held: nothing is left to sweep. Of any plan.
void finish_sweep(heap_state& heap) noexcept;

// What is free looks like nothing that was there.
void poison_cell(char* cell, std::size_t bytes) noexcept;

// Before a full cycle.
void clear_marks(heap_state& heap) noexcept;

}  // namespace tenure::gc
