#include "library/gc/plan.h"

#include <iterator>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/allocation.h"
#include "library/gc/cards.h"
#include "library/gc/compaction.h"
#include "library/gc/counting.h"
#include "library/gc/cycle.h"
#include "library/gc/ephemerons.h"
#include "library/gc/finalizer.h"
#include "library/gc/marker.h"
#include "library/gc/relocation.h"
#include "library/gc/roots.h"
#include "library/gc/semispace.h"
#include "library/gc/sweep.h"
#include "library/gc/verify.h"
#include "library/gc/watches.h"
#include "library/gc/weak_cells.h"

namespace tenure::gc {

namespace {

// What threads allocate from here on, unless in a block that this cycle has swept, is alive in it.
void begin_black_allocation(heap_state& heap) noexcept {
  heap.allocated_before_cycle = heap.allocated_since.exchange(0, std::memory_order_relaxed);
  heap.allocated_since_full += heap.allocated_before_cycle;
  heap.at.store(stage::marking, std::memory_order_release);
  heap.cycle.fetch_add(1, std::memory_order_release);
  heap.tell_progress();
}

// What locals and roots lead to, of whatever heap: visit(target). Cells that threads have at hand are black from here
// on.
template <class Visit>
void for_each_target_outside(heap_state& heap, Visit visit) noexcept {
  heap.unused_cells = 0;
  heap.unused_bytes = 0;
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      TENURE_YIELD_POINT();
      // First the runs, then the slots: a cell leaves its run only when its address is in a slot.
      blacken_runs(*at, heap);
      for_each_slot(*at, visit);
    }
  }
  for_each_root(visit);
}

void scan_roots(heap_state& heap, marker& into) noexcept {
  for_each_target_outside(heap, [&](void* target) { into.push(target, nullptr); });
  mark_queued(heap, into);
}

// Guarded objects that were found dead, and what they lead to, are marked after all. Whoever asked for one through a
// weak reference has had its answer by then.
void revive_guarded(heap_state& heap, marker& marks) noexcept {
  watch* guarded = take_guarded(heap);
  if (guarded == nullptr) return;
  handshake();
  for (const watch* each = guarded; each != nullptr; each = each->next) marks.push(each->target, nullptr);
  marks.drain_all();
  resolve_waiting(heap, marks);
  tell(guarded);
}

// What is not marked is dead: from the first weak reference to the destructors. Who is told when memory is free.
watch* resolve(heap_state& heap, marker& marks, cycle_kind kind) noexcept {
  resolve_weak_cells(heap);
  resolve_pairs(heap, kind);
  revive_guarded(heap, marks);
  queue_dead(heap);
  heap.figures.marked_objects.fetch_add(marks.marked_objects(), std::memory_order_relaxed);
  if (kind == cycle_kind::young) heap.figures.promoted_objects.fetch_add(marks.marked_objects());
  return take_phantoms(heap);
}

void bury(heap_state& heap, watch* mourners, cycle_kind kind) noexcept {
  heap.at.store(kind == cycle_kind::young ? stage::sweeping_young : stage::sweeping_all, std::memory_order_release);
  set_active_heap(nullptr);
  sweep(heap, kind);
  heap.at.store(stage::idle, std::memory_order_release);
  tell(mourners);
  free_destroyed();
}

// With the world stopped: what is alive is marked, and what is not is resolved. Who is told when memory is free.
watch* mark_all(heap_state& heap) {
  begin_black_allocation(heap);
  set_active_heap(&heap);
  clear_marks(heap);
  marker marks(heap);
  scan_roots(heap, marks);
  marks.drain_all();
  keep_soft(heap, marks);
  marks.drain_all();
  if (heap.verify) verify_marks(heap);
  return resolve(heap, marks, cycle_kind::full);
}

void mark_and_sweep(heap_state& heap) { bury(heap, mark_all(heap), cycle_kind::full); }

void mark_sweep_cycle(heap_state& heap, cycle_kind) {
  const stopped_world stopped(&heap);
  mark_and_sweep(heap);
}

// Threads wait while it marks. What it did not reach goes when allocation needs the room, or before the next cycle.
void mark_sweep_lazy_cycle(heap_state& heap, cycle_kind) {
  finish_sweep(heap);
  watch* mourners;
  {
    const stopped_world stopped(&heap);
    mourners = mark_all(heap);
    heap.at.store(stage::sweeping_all, std::memory_order_release);
    set_active_heap(nullptr);
    leave_unswept(heap);
  }
  sweep_large_alone(heap);
  tell(mourners);
  free_destroyed();
}

// What is dead by its count. All pairs are resolved, for keys of any age may have died.
watch* count_all(heap_state& heap, counting& counts) {
  begin_black_allocation(heap);
  set_active_heap(&heap);
  for_each_target_outside(heap, [&](void* target) { counts.hold(target); });
  {
    const holding guard(destructors_lock());
    for_each_queued(
        heap, [](void* by, char* cell) { static_cast<counting*>(by)->hold(cell); }, &counts);
  }
  counts.take_changes();
  counts.find_dead();
  marker marks(heap);
  keep_soft(heap, marks);
  marks.drain_all();
  if (heap.verify) verify_marks(heap);
  watch* mourners = resolve(heap, marks, cycle_kind::full);
  counts.take_back();
  return mourners;
}

void refcount_cycle(heap_state& heap, cycle_kind kind) {
  const stopped_world stopped(&heap);
  counting counts(heap);
  watch* mourners;
  if (kind == cycle_kind::full || heap.counts_are_lost) {
    mourners = mark_all(heap);
    counts.count_anew();
  } else {
    mourners = count_all(heap, counts);
  }
  if (heap.verify) counts.check();
  // What has died by its count may lie anywhere.
  bury(heap, mourners, cycle_kind::full);
}

// What the calling thread holds for objects to come is where objects may move to.
template <void (*choose)(relocation& by)>
void moving_cycle(heap_state& heap, cycle_kind) {
  retire_runs(this_thread());
  const stopped_world stopped(&heap);
  mark_and_sweep(heap);
  relocate(heap, choose);
  if (heap.verify) verify_marks(heap);
}

// Pairs' cards are cleaned where pairs are resolved.
bool has_no_pairs(object_kind kind) noexcept { return !detail::is_paired(kind); }

// Slots of old objects that were stored to since the last cycle.
void scan_cards(heap_state& heap, marker& into) noexcept {
  const auto scan = [&](const cell_place& at, const char* first, const char* end) {
    if (is_traced(at.header->kind)) into.trace_range(at, first, end);
  };
  for_each_object_on_cards(heap, has_no_pairs, card_objects::marked, true, scan);
  for_each_object_on_cards(heap, detail::is_paired, card_objects::marked, false, scan);
}

// Marks until nothing is left that a thread could still make known. That is so when no object was shaded from before
// the last draining until after a handshake behind it: each operation that could have had one in hand is over and had
// none. From then on only a weak reference could bring one back, and does so under the gate, where the count is read
// once more. Every other round has shaded an object, each once, so it comes to an end whatever threads do.
void mark_to_the_end(heap_state& heap, marker& marks) noexcept {
  const auto take = [&] { return take_shaded(heap, [&](void* target) { marks.push(target, nullptr); }); };
  const auto drain = [&] {
    do marks.drain();
    while (take() || marks.pass_pairs());
  };
  drain();
  keep_soft(heap, marks);
  for (;;) {
    const std::uint64_t before = shade_count();
    drain();
    handshake();
    if (take() || shade_count() != before) continue;
    TENURE_YIELD_POINT();
    const holding gate(weak_gate());
    if (shade_count() != before) continue;
    set_phase(phase::resolving);
    return;
  }
}

void sticky_concurrent_cycle(heap_state& heap, cycle_kind kind) {
  heap.only_young_die = kind == cycle_kind::young;
  // Nobody marks: what a thread allocates now is not marked, whether or not its block's marks are cleared already.
  if (kind == cycle_kind::full) clear_marks(heap);
  set_active_heap(&heap);
  set_phase(phase::marking);
  handshake();
  // Only now that every thread shades what it stores: an object that is born marked is never traced.
  begin_black_allocation(heap);
  handshake();
  marker marks(heap);
  // Before the first object is traced: what is stored to one after that marks its card for the next cycle.
  if (kind == cycle_kind::full) clean_cards(heap, has_no_pairs);
  scan_roots(heap, marks);
  if (kind == cycle_kind::young) scan_cards(heap, marks);
  mark_to_the_end(heap, marks);
  handshake();
  if (heap.verify) {
    const stopped_world stopped(nullptr);
    verify_marks(heap);
  }
  watch* mourners = resolve(heap, marks, kind);
  set_phase(phase::idle);
  handshake();
  bury(heap, mourners, kind);
  heap.only_young_die = false;
}

constexpr plan_traits all_traits[] = {
    {"nogc", false, false, false, false, nullptr},
    {"mark_sweep", true, false, false, false, mark_sweep_cycle},
    {"sticky_concurrent", true, true, false, true, sticky_concurrent_cycle},
    {"mark_compact", true, false, true, false, moving_cycle<compact_all>},
    {"semispace", true, false, true, false, moving_cycle<copy_all>},
    {"immix", true, false, true, false, moving_cycle<empty_sparse>},
    {"refcount", true, true, false, false, refcount_cycle},
    {"mark_sweep_lazy", true, false, false, false, mark_sweep_lazy_cycle},
};

}  // namespace

const plan_traits& traits_of(plan of) noexcept {
  const auto index = static_cast<std::size_t>(of);
  TENURE_CHECK(index < std::size(all_traits));
  return all_traits[index];
}

}  // namespace tenure::gc
