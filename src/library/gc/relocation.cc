#include "library/gc/relocation.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/check.h"
#include "library/gc/allocation.h"
#include "library/gc/cycle.h"
#include "library/gc/finalizer.h"
#include "library/gc/plan.h"
#include "library/gc/roots.h"
#include "library/gc/sides.h"
#include "library/gc/stack_words.h"
#include "library/gc/sweep.h"

namespace tenure::gc {

namespace {

void*& first_word(char* cell) noexcept { return *reinterpret_cast<void**>(cell); }
bool says_where(const void* word) noexcept { return (reinterpret_cast<std::uintptr_t>(word) & 1) != 0; }

bool has_other_threads_locals(const heap_state& heap, const thread_state& owner) noexcept {
  bool any = false;
  window& all = window::get();
  const holding guard(threads_lock());
  for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
    if (at == &owner) continue;
    for_each_slot(*at, [&](void* target) {
      any = any || (all.holds(target) && all.place(target).header->heap_number == heap.number);
    });
  }
  return any;
}

}  // namespace

bool relocation::is_movable(const cell_place& at) const noexcept {
  const block_header& header = *at.header;
  if (header.state.load(std::memory_order_relaxed) != block_state::cells || header.runs_held != 0) return false;
  if (header.is_entered || is_pinned(at)) return false;
  void* first = first_word(at.cell);
  if (first == nullptr || says_where(first)) return false;
  return static_cast<const detail::type_descriptor*>(first)->is_relocatable;
}

bool relocation::move(const cell_place& from, const cell_place& to) noexcept {
  TENURE_DCHECK(from.header->kind == to.header->kind && from.header->cell_bytes == to.header->cell_bytes);
  if (!move_side(from, to)) return false;
  std::memcpy(to.cell, from.cell, from.header->cell_bytes);
  block_bits& left = window_.bits(from.block);
  block_bits& entered = window_.bits(to.block);
  const std::size_t left_word = from.index / 64;
  const std::size_t entered_word = to.index / 64;
  entered.to_clear[entered_word] &= ~to.bit;
  entered.marks[entered_word].allocated.store(
      entered.marks[entered_word].allocated.load(std::memory_order_relaxed) | to.bit, std::memory_order_relaxed);
  to.mark();
  left.marks[left_word].allocated.store(left.marks[left_word].allocated.load(std::memory_order_relaxed) & ~from.bit,
                                        std::memory_order_relaxed);
  left.to_clear[left_word] |= from.bit;
  from.marks->marked.store(from.marks->marked.load(std::memory_order_relaxed) & ~from.bit, std::memory_order_relaxed);
  from.marks->born_marked.store(from.marks->born_marked.load(std::memory_order_relaxed) & ~from.bit,
                                std::memory_order_relaxed);
  from.header->is_left = true;
  first_word(from.cell) = to.cell + 1;
  ++moved_objects_;
  moved_bytes_ += from.header->cell_bytes;
  return true;
}

void* relocation::moved(void* target) const noexcept {
  if (!window_.holds(target)) return target;
  const cell_place at = window_.place(target);
  if (!at.header->is_left || at.header->heap_number != heap_.number) return target;
  void* first = first_word(at.cell);
  if (!says_where(first)) return target;
  return static_cast<char*>(first) - 1 + (static_cast<char*>(target) - at.cell);
}

std::size_t relocation::live_count(std::size_t block) const noexcept {
  std::size_t count = 0;
  for (std::size_t word = 0; word * 64 < window_.header(block).cell_count; ++word) {
    count += static_cast<std::size_t>(
        std::popcount(window_.bits(block).marks[word].allocated.load(std::memory_order_relaxed)));
  }
  return count;
}

std::size_t relocation::add_block(std::size_t list) noexcept {
  const std::size_t block = gc::add_block(heap_, list);
  if (block != window::npos) window_.header(block).is_entered = true;
  return block;
}

void relocation::pin(void* target) noexcept {
  if (!window_.holds(target)) return;
  const cell_place at = window_.place(target);
  if (at.header->heap_number != heap_.number || !window_.is_allocated(at)) return;
  at.marks->shaded.store(at.marks->shaded.load(std::memory_order_relaxed) | at.bit, std::memory_order_relaxed);
}

// What the object needs to stay where it is.
void relocation::pin_for(const cell_place& at) noexcept {
  const detail::type_descriptor* type = type_of(at.cell);
  const auto pin_slot = [&](char* slot) { pin(read_slot(slot)); };
  if (type != nullptr && type->keeps_addresses) {
    for_each_slot_of(at, pin_slot, pin_slot);
  } else if (type == nullptr || (type->needs_object && !type->listed.load(std::memory_order_acquire))) {
    // Its layout is not known yet: whatever looks like a pointer.
    for (std::size_t word = sizeof(void*); word + sizeof(void*) <= bytes_of(at); word += sizeof(void*)) {
      pin_slot(at.cell + word);
    }
  } else if (type->pair_count != 0) {
    for_each_slot_of(
        at, [](char*) {}, pin_slot);
  }
}

void relocation::pin_all() noexcept {
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      for_each_slot(*at, [&](void* target) { pin(target); });
    }
  }
  for_each_root_slot(true, [&](detail::root_slot&, void* target) { pin(target); });
  for_each_queued(
      heap_, [](void* by, char* cell) { static_cast<relocation*>(by)->pin(cell); }, this);
  for_each_object(heap_, has_slots_or_pairs, [&](const cell_place& at) { pin_for(at); });
}

void relocation::follow_slots(const cell_place& at) noexcept {
  const auto follow_word = [&](char* slot) {
    void* before = read_slot(slot);
    if (before == nullptr) return;
    void* now = moved(before);
    if (now != before) __atomic_store_n(reinterpret_cast<void**>(slot), now, __ATOMIC_RELEASE);
  };
  for_each_slot_of(at, follow_word, [&](char* pair) {
    follow_word(pair);
    follow_word(pair + sizeof(void*));
  });
}

void relocation::follow() noexcept {
  window_.for_each_block(heap_.number, [&](std::size_t block, const block_header& header) {
    if (!is_traced(header.kind) || (header.is_entered && entered_are_followed_)) return;
    for_each_object_in(block, [&](const cell_place& at) { follow_slots(at); });
  });
  for_each_root_slot(false, [&](detail::root_slot& slot, void* before) {
    void* now = moved(before);
    // Given up meanwhile by another thread, it is no root any more.
    if (now != before) slot.compare_exchange_strong(before, now, std::memory_order_acq_rel);
  });
}

// True when nothing is left in it.
bool relocation::finish_block(std::size_t block) noexcept {
  block_header& header = window_.header(block);
  block_bits& bits = window_.bits(block);
  std::uint64_t any = 0;
  for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
    pinned_objects_ += static_cast<std::size_t>(std::popcount(bits.marks[word].shaded.load(std::memory_order_relaxed)));
    bits.marks[word].shaded.store(0, std::memory_order_relaxed);
    any |= bits.marks[word].allocated.load(std::memory_order_relaxed);
    if (!heap_.poison || !header.is_left) continue;
    window_.for_each_cell(block, word, bits.to_clear[word],
                          [&](std::uint64_t, char* cell) { poison_cell(cell, header.cell_bytes); });
  }
  header.is_left = false;
  header.is_entered = false;
  return any == 0 && header.runs_held == 0;
}

void relocation::finish() noexcept {
  std::size_t keep_bytes = heap_.keep_left_bytes;
  for (block_list& list : heap_.lists) {
    const holding guard(list.guard);
    for (std::size_t i = 0; i < list.blocks.size();) {
      const std::uint32_t block = list.blocks[i];
      const block_header& header = window_.header(block);
      if (!finish_block(block) || header.next_young != not_chained) {
        list.open_if_worth_it(block, free_cells(block));
        ++i;
        continue;
      }
      heap_.in_cells.objects -= header.live_cells;
      heap_.in_cells.bytes -= std::size_t{header.live_cells} * header.cell_bytes;
      list.remove(block);
      heap_.figures.block_bytes.fetch_sub(block_bytes, std::memory_order_relaxed);
      heap_.account.release(block_bytes);
      const bool keep = keep_bytes >= block_bytes;
      if (keep) keep_bytes -= block_bytes;
      window_.give_run(block, 1, keep);
    }
  }
  for (const std::uint32_t block : heap_.large) window_.bits(block).marks[0].shaded.store(0, std::memory_order_relaxed);
  heap_.figures.pinned_objects.store(pinned_objects_, std::memory_order_relaxed);
  heap_.figures.moved_objects.fetch_add(moved_objects_, std::memory_order_relaxed);
  heap_.figures.moved_bytes.fetch_add(moved_bytes_, std::memory_order_relaxed);
}

void relocate(heap_state& heap, void (*choose)(relocation& by)) noexcept {
  heap.figures.pinned_objects.store(0, std::memory_order_relaxed);
  const thread_state& self = this_thread();
  if (heap.owner.load(std::memory_order_acquire) != &self || has_other_threads_locals(heap, self)) return;
  const holding destructors(destructors_lock());
  if (is_destroying(heap)) return;
  relocation by(heap);
  for_each_side_lock([](lock& each) { each.acquire(); });
  // One past the end of an object, as the end of a full array, is an address of the next one or of nothing.
  const auto pin_word = [](void* to, std::uintptr_t word) {
    static_cast<relocation*>(to)->pin(reinterpret_cast<void*>(word));      // NOLINT(performance-no-int-to-ptr)
    static_cast<relocation*>(to)->pin(reinterpret_cast<void*>(word - 1));  // NOLINT(performance-no-int-to-ptr)
  };
  if (for_each_stack_word(pin_word, &by)) {
    by.pin_all();
    choose(by);
    if (by.moved_objects() != 0) by.follow();
    by.finish();
  }
  for_each_side_lock([](lock& each) { each.release(); });
}

void claim(heap_state& heap) noexcept {
  const thread_state& self = this_thread();
  const thread_state* owner = heap.owner.load(std::memory_order_acquire);
  if (owner == &self || is_in_destructor_of(heap)) return;
  if (owner == nullptr && heap.owner.compare_exchange_strong(owner, &self)) return;
  std::fprintf(stderr,
               "tenure: gc::heap \"%s\" moves its objects and belongs to thread %ld, but thread %ld allocates in it\n",
               heap.name.c_str(), owner->id, self.id);
  std::abort();
}

void disown(const thread_state& ended) noexcept {
  for_each_heap([&](heap_state& heap) {
    const thread_state* owner = &ended;
    heap.owner.compare_exchange_strong(owner, nullptr);
  });
}

}  // namespace tenure::gc
