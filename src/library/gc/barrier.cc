// The slow paths of the barrier, of the root slots and of allocation.
#include <cstdio>
#include <cstdlib>
#include <new>

#include "core/base/check.h"
#include "library/gc/allocation.h"
#include "library/gc/collect.h"
#include "library/gc/cycle.h"

namespace tenure::gc::detail {

constinit barrier_state barrier;

namespace {
constinit lock learning;
}  // namespace

namespace {

// Nothing has to be done for what is alive in the cycle, and what is so stays so until the cycle is over: by then the
// store before this look is seen by the next.
bool is_alive_already(const void* target) noexcept {
  const window& all = window::get();
  return all.holds(target) && all.place(target).is_alive();
}

}  // namespace

void published_slow(void* target) noexcept {
  if (target == nullptr) return;
  if ((barrier.phase.load(std::memory_order_relaxed) & stores_are_verified) != 0) verify_stored(target);
  if (current_phase() != phase::stopped && is_alive_already(target)) return;
  thread_state& self = this_thread();
  const entry measured(self);
  for (;;) {
    phase now = current_phase();
    if (now == phase::idle) return;
    if (now == phase::stopped) {
      if (self.stopper) return;
      wait_while_stopped();
      continue;
    }
    begin_operation(self);
    now = current_phase();
    if (now == phase::marking || now == phase::resolving) shade(self, target, now);
    end_operation(self);
    if (now != phase::stopped) return;
  }
}

void shade_in_operation(void* target) noexcept {
  if (target == nullptr) return;
  if ((barrier.phase.load(std::memory_order_relaxed) & stores_are_verified) != 0) verify_stored(target);
  const phase now = current_phase();
  if (now != phase::marking && now != phase::resolving) return;
  const entry measured(this_thread());
  shade(this_thread(), target, now);
}

thread_record* enter_slow() noexcept {
  thread_state& self = this_thread();
  for (;;) {
    begin_operation(self);
    if (current_phase() != phase::stopped || self.stopper) return &self;
    end_operation(self);
    wait_while_stopped();
  }
}

namespace {

// Allocates by `attempt`, which throws std::bad_alloc; when it does, a full cycle and one more try.
template <class Attempt>
void try_twice(heap_state& heap, Attempt attempt) {
  try {
    attempt();
  } catch (const std::bad_alloc&) {
    if (!may_collect_for_memory(heap)) throw;
    collect_for_memory(heap);
    attempt();
  }
}

// A charge may run a cycle, so it is made outside of the operation.
refilled refill_with_room(thread_state& self, heap_state& heap, std::size_t list) {
  for (;;) {
    {
      const operation held;
      const refilled how = refill(self, heap, list);
      if (how != refilled::needs_block) return how;
    }
    hold_bytes(heap, block_bytes);
  }
}

char* make_large_with_room(heap_state& heap, object_kind kind, std::size_t bytes, std::size_t payload_offset,
                           root_slot* root) {
  for (;;) {
    {
      const operation held;
      if (char* cell = make_large(heap, kind, bytes)) {
        held.keep(root, cell + payload_offset);
        return cell;
      }
    }
    hold_bytes(heap, (bytes + block_bytes - 1) / block_bytes * block_bytes);
  }
}

}  // namespace

rooted_cell allocate_slow(heap_state* heap, std::size_t list, std::size_t payload_offset, const type_descriptor& type) {
  if (heap == nullptr) heap = standard_heap();
  thread_state& self = registered_thread();
  const std::size_t cell_bytes = cell_sizes[list % class_count];
  refilled how = refilled::done;
  const allocation_run& held = self.heaps[heap->number]->runs[list];
  const bool is_used_up = held.next.load(std::memory_order_relaxed) == held.end.load(std::memory_order_relaxed);
  if (is_used_up && !next_run(self.heaps[heap->number]->runs[list], cell_bytes)) {
    const entry measured(self);
    before_allocation(*heap);
    try_twice(*heap, [&] { how = refill_with_room(self, *heap, list); });
  }
  if (!reach_next_segment(self)) throw std::bad_alloc();
  allocation_run& run = self.heaps[heap->number]->runs[list];
  char* cell = run.next.load(std::memory_order_relaxed);
  TENURE_CHECK(cell != run.end.load(std::memory_order_relaxed));
  root_slot* taken = self.top.load(std::memory_order_relaxed);
  taken->store(cell + payload_offset, std::memory_order_release);
  self.top.store(taken + 1, std::memory_order_release);
  TENURE_GC_STEP();
  run.next.store(cell + cell_bytes, std::memory_order_release);
  TENURE_GC_STEP();
  if (how == refilled::done_and_sampled) take_sample(*heap, type, cell, cell_bytes);
  return {cell, taken};
}

rooted_cell allocate_large(heap_state* heap, object_kind kind, std::size_t bytes, std::size_t payload_offset,
                           const type_descriptor& type) {
  if (heap == nullptr) heap = standard_heap();
  thread_state& self = registered_thread();
  const entry measured(self);
  before_allocation(*heap);
  if (!reach_next_segment(self)) throw std::bad_alloc();
  root_slot* root = push(nullptr);
  char* cell = nullptr;
  try {
    try_twice(*heap, [&] { cell = make_large_with_room(*heap, kind, bytes, payload_offset, root); });
  } catch (...) {
    pop(root);
    throw;
  }
  if (self.samples.pass(heap->sample_bytes, bytes)) take_sample(*heap, type, cell, bytes);
  return {cell, root};
}

rooted_cell allocate_array(heap_state* heap, object_kind kind, std::size_t bytes, std::size_t alignment_bytes,
                           std::size_t payload_offset, const type_descriptor& type) {
  const std::size_t size_class = class_of(bytes, alignment_bytes);
  if (size_class == large_class) return allocate_large(heap, kind, bytes, payload_offset, type);
  if (heap == nullptr) heap = standard_heap();
  const auto slow = [&](heap_state* in, std::size_t list, std::size_t offset) {
    return allocate_slow(in, list, offset, type);
  };
  return allocate(heap, heap->number, list_of(kind, size_class), cell_sizes[size_class], payload_offset, slow);
}

void learn_slots(type_descriptor& type, void* object) noexcept {
  const holding guard(learning_lock());
  if (type.listed.load(std::memory_order_relaxed)) return;
  slot_list sink{reinterpret_cast<std::uintptr_t>(object), type.offsets, type.counts()};
  if (type.list != nullptr) type.list(object, sink);
  TENURE_CHECK(sink.count.slots == type.slot_count && sink.count.pairs == type.pair_count);
  type.listed.store(true, std::memory_order_release);
}

}  // namespace tenure::gc::detail

namespace tenure::gc {

lock& learning_lock() noexcept { return detail::learning; }

}  // namespace tenure::gc
