// What the weak and soft references to one object share: its address, until it is dead.
#pragma once

#include "library/gc/heap_state.h"
#include "library/gc/marker.h"

namespace tenure::gc::detail {

struct weak_cell {
  weak_cell(void* cell, lock& side) noexcept : target(cell), guard(&side) {}
  std::atomic<void*> target;                 // the object's cell
  std::atomic<std::uint32_t> references{0};  // weak and soft; comes to 0 under the lock only
  std::atomic<std::uint32_t> soft{0};        // of them
  std::atomic<std::uint64_t> used_ms{0};     // by the soft clock
  std::atomic<lock*> guard;
};

}  // namespace tenure::gc::detail

namespace tenure::gc {

enum class verdict : std::uint8_t { alive, dead, unknown };

// What an object is to a thread that has nothing but its address, read from `where`, which a cycle clears. In an
// operation. `unknown`: not marked yet; ask again under the weak gate, in another operation.
verdict look_at(const std::atomic<void*>& where, void*& target) noexcept;

// With what is marked final: the cells of objects of the heap that are not marked become null.
void resolve_weak_cells(heap_state& heap) noexcept;

// While marking, when all that is reachable is marked: the targets of soft references that are kept go to the marker.
void keep_soft(heap_state& heap, marker& into) noexcept;
// The time that soft references are stamped with, and that their age is taken by, goes on: when a cycle has ended. What
// was used since then is not old for any cycle, however long ago that was.
void advance_soft_clock() noexcept;
// Before the first use.
void start_soft_clock() noexcept;
// Tests: what the clock goes on to, in milliseconds, until told otherwise; 0: it goes by itself.
void set_soft_clock(std::uint64_t now_ms) noexcept;

}  // namespace tenure::gc
