// A plan: how a heap's cycles go. The barrier, the layout of blocks, marking, death and sweeping are the same for all.
//
//                        nogc      mark_sweep               sticky_concurrent
//   who waits            nobody    threads that store       nobody
//   phases               none      stopped                  marking, resolving
//   cycles               none      full                     young and full
//   threads, on storing  nothing   nothing                  shade while it marks, mark the card always
//   after a cycle        -         nothing is marked        what survived is marked, hence old
//
// mark_sweep_lazy goes as mark_sweep until everything is marked; then threads run, and sweep what they allocate from.
// refcount goes as mark_sweep in full cycles, and by its counts in young ones (counting.h).
// mark_compact, semispace and immix go as mark_sweep does and then move objects (relocation.h).
#pragma once

#include "library/gc/collect.h"
#include "library/gc/heap_state.h"

namespace tenure::gc {

struct plan_traits {
  const char* name;
  bool collects;
  bool has_young_cycles;  // marks stay from cycle to cycle and the barrier's cards say what changed
  bool moves;             // objects; a heap is its owner's
  bool in_background;     // cycles that are due are the collector's thread's; otherwise the allocating thread's
  void (*cycle)(heap_state& heap, cycle_kind kind);  // with the cycle lock held
};

const plan_traits& traits_of(plan of) noexcept;

}  // namespace tenure::gc
