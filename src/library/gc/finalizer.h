// Destructors of dead objects: queued by a cycle, run by a thread of their own.
//
//   dead ──▶ pending ──▶ running ──▶ destroyed ──▶ free, between two cycles
//
// Until its destructor has run, an object is a root: the living objects it leads to stay. Until it is free it is not
// used again, and it is not free while a cycle marks, which may be looking at it.
#pragma once

#include <vector>

#include "library/gc/heap_state.h"
#include "library/gc/marker.h"

namespace tenure::gc {

// Before anything else here. Throws std::bad_alloc.
void prepare_destructors();
// False when there was no memory to remember it by: it has to stay alive until the next cycle.
bool queue_destructor(char* cell) noexcept;
// The thread runs what is queued.
void start_destructors() noexcept;
// Everything queued, running or destroyed and not free yet, is marked.
void mark_queued(heap_state& heap, marker& into) noexcept;
// Cells of all heaps whose destructors wait or run. Throws std::bad_alloc.
std::vector<char*> queued_cells();
// With the cycle lock held: the destroyed are free.
void free_destroyed() noexcept;

// For at most so many pauses, longer from one to the next; false when they were not enough.
bool wait_for_destructors(unsigned rounds) noexcept;
// For a heap that goes away: all its queued ones are run by the calling thread. Nothing in a destructor of one of them.
void run_destructors_here() noexcept;
// Whether the calling thread runs a queued one.
bool is_in_destructor() noexcept;
bool is_in_destructor_of(const heap_state& heap) noexcept;
void reset_destructors_in_child() noexcept;
lock& destructors_lock() noexcept;
// With that lock held, of one heap: whether one of its destructors is running, and the objects whose destructors are
// due, run, or have run: visit(cell).
bool is_destroying(const heap_state& heap) noexcept;
void for_each_queued(const heap_state& heap, void (*visit)(void* context, char* cell), void* context) noexcept;

// The destructor of the object in the cell, which is nobody's any more, in this thread.
void destroy_object(char* cell) noexcept;

}  // namespace tenure::gc
