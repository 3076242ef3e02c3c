// When a heap is collected, and by whom.
#pragma once

#include <chrono>

#include <tenure/tenure.h>

#include "library/gc/heap_state.h"

namespace tenure::gc {

enum class cycle_kind : std::uint8_t { young, full };

// One cycle of the heap, in the calling thread, after those that run or wait already.
void run_cycle(heap_state& heap, cycle_kind kind) noexcept;
// The same, a full one, and what is dead is free when it returns, also where a plan would leave that to allocation.
void run_whole_cycle(heap_state& heap) noexcept;

// On the slow path of allocation, outside of operations: a cycle that is due is run or asked for, and a thread that has
// got far ahead of the collector waits a little.
void before_allocation(heap_state& heap) noexcept;
// A cycle that is worth it and fits into the budget as cycles went lately; false: there is none.
bool run_idle_cycle(heap_state& heap, std::chrono::nanoseconds budget) noexcept;
// What the process's budget calls when it is short: bytes of blocks that came back.
std::uint64_t shrink_heap(void* heap, const tenure_pressure* why);
// False: nothing can be done, or the user has said that nothing shall be, the collector being at its share.
bool may_collect_for_memory(heap_state& heap);
// The heap is full or the system refuses memory. False when nothing can be done.
bool collect_for_memory(heap_state& heap) noexcept;

// The collector's thread runs a cycle of the heap.
void request_cycle(heap_state& heap) noexcept;
void reset_collector_in_child() noexcept;

}  // namespace tenure::gc
