#include "library/gc/sweep.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/ephemerons.h"
#include "library/gc/finalizer.h"
#include "library/gc/marker.h"
#include "library/gc/pacing.h"

namespace tenure::gc {

namespace {

constexpr int poison_byte = 0xDB;

std::size_t word_count(const block_header& header) noexcept { return (header.cell_count + 63) / 64; }

// Each cell of the heap that has a destructor and is not marked: visit(cell).
template <class Visit>
void for_each_dead(heap_state& heap, Visit visit) {
  window& all = window::get();
  for_each_block_with_dead(heap, [&](std::size_t block, const block_header& header) {
    if (!is_destroyed(header.kind)) return;
    const block_bits& bits = all.bits(block);
    for (std::size_t word = 0; word < word_count(header); ++word) {
      // In this order: a cell is marked before it is allocated.
      const std::uint64_t allocated = bits.marks[word].allocated.load(std::memory_order_acquire);
      const std::uint64_t dead = allocated & ~bits.marks[word].alive();
      all.for_each_cell(block, word, dead, [&](std::uint64_t, char* cell) { visit(all.place(cell)); });
    }
  });
}

bool is_unmarked(void* target) noexcept {
  window& all = window::get();
  return all.holds(target) && !all.place(target).is_alive();
}

void forget_dead_peers(const cell_place& at) noexcept {
  detail::type_descriptor* type = type_of(at.cell);
  if (type == nullptr || type->list == nullptr) return;
  char* element = at.cell + type->payload_offset;
  std::size_t count = element_count(*type, at.cell);
  if (count == 0) return;
  const std::uint32_t* offsets = slots_of(*type, element);
  TENURE_CHECK(offsets != nullptr);  // it has been constructed
  for (; count != 0; --count, element += type->element_bytes) {
    for (std::uint32_t i = 0; i < type->slot_count; ++i) {
      void* target = read_slot(element + offsets[i]);
      if (target != nullptr && is_unmarked(target)) {
        __atomic_store_n(reinterpret_cast<void**>(element + offsets[i]), nullptr, __ATOMIC_RELEASE);
      }
    }
    for (std::uint32_t i = 0; i < type->pair_count; ++i) {
      forget_dead(*reinterpret_cast<detail::pair_words*>(element + offsets[type->slot_count + i]));
    }
  }
}

struct sweep_count {
  std::size_t live_bytes = 0;  // more or fewer than the last sweep of those blocks has left, modulo 2^64
  std::size_t live_objects = 0;
  std::size_t born_bytes = 0;  // of the live: marked at birth and reached by nobody yet
  std::uint64_t freed = 0;
  std::size_t keep_bytes = 0;  // how much of what gets free stays resident
};

void poison_cells(std::size_t block, std::size_t word, std::uint64_t cells) noexcept {
  window& all = window::get();
  all.for_each_cell(block, word, cells,
                    [&](std::uint64_t, char* cell) { poison_cell(cell, all.header(block).cell_bytes); });
}

// With the list's lock held. What is free is up to date when it returns.
struct block_left {
  std::size_t live_cells;  // or held by a thread
  bool is_young;           // has objects that the cycle has not reached, or cells that a thread holds
  bool is_swept;           // false: it came, or allocation came into it, after marking, and nothing in it is dead
};
block_left sweep_block(heap_state& heap, std::size_t block, sweep_count& count) noexcept {
  window& all = window::get();
  block_header& header = all.header(block);
  block_bits& bits = all.bits(block);
  const std::uint32_t cycle = heap.cycle.load(std::memory_order_relaxed);
  if (header.swept_cycle == cycle) return {header.live_cells, true, false};
  std::size_t live = 0;
  std::size_t born = 0;
  for (std::size_t word = 0; word < word_count(header); ++word) {
    const std::uint64_t before = bits.marks[word].allocated.load(std::memory_order_relaxed);
    mark_words& marks = bits.marks[word];
    const std::uint64_t old = before & marks.marked.load(std::memory_order_relaxed);
    const std::uint64_t young = before & ~old & marks.born_marked.load(std::memory_order_relaxed);
    marks.set(old);
    live += static_cast<std::size_t>(std::popcount(old | young));
    born += static_cast<std::size_t>(std::popcount(young));
    const std::uint64_t dead = before & ~(old | young);
    if (dead == 0) continue;
    bits.marks[word].allocated.store(old | young, std::memory_order_relaxed);
    bits.to_clear[word] |= dead;
    count.freed += static_cast<std::uint64_t>(std::popcount(dead));
    if (heap.poison) poison_cells(block, word, dead);
  }
  count.live_objects += live - header.live_cells;
  count.live_bytes += (live - header.live_cells) * header.cell_bytes;
  count.born_bytes += born * header.cell_bytes;
  header.live_cells = static_cast<std::uint16_t>(live);
  header.swept_cycle = cycle;
  return {live, born != 0 || header.runs_held != 0, true};
}

void give_block(heap_state& heap, std::size_t block, sweep_count& count) noexcept {
  heap.figures.block_bytes.fetch_sub(block_bytes, std::memory_order_relaxed);
  heap.account.release(block_bytes);
  const bool keep = count.keep_bytes >= block_bytes;
  if (keep) count.keep_bytes -= block_bytes;
  window::get().give_run(block, 1, keep);
}

// With the list's lock held; true when the block is the list's no more.
bool sweep_in_list(heap_state& heap, block_list& list, std::size_t block, sweep_count& count) noexcept {
  const block_left left = sweep_block(heap, block, count);
  const block_header& header = window::get().header(block);
  if (left.is_young) list.make_young(block);
  if (!left.is_swept) return false;
  // One that allocation has come to since is looked at again by the next cycle.
  if (left.live_cells == 0 && header.next_young == not_chained) {
    list.remove(block);
    return true;
  }
  list.open_if_worth_it(block, header.cell_count - left.live_cells);
  return false;
}

// Blocks that are in the chain of the young.
void sweep_young(heap_state& heap, block_list& list, sweep_count& count) noexcept {
  std::uint32_t chain;
  {
    const holding guard(list.guard);
    chain = list.take_young();
  }
  while (chain != chain_end) {
    TENURE_YIELD_POINT();
    std::uint32_t block;
    bool is_gone;
    {
      const holding guard(list.guard);
      block = block_list::pop_young(chain);
      is_gone = sweep_in_list(heap, list, block, count);
    }
    if (is_gone) give_block(heap, block, count);
  }
}

// First nothing is young: whoever allocates from a block before the sweep comes to it puts it back.
void begin_all(block_list& list) noexcept {
  std::uint32_t chain;
  {
    const holding guard(list.guard);
    chain = list.take_young();
  }
  while (chain != chain_end) {
    const holding guard(list.guard);
    for (int some = 0; some < 64 && chain != chain_end; ++some) block_list::pop_young(chain);
  }
  const holding guard(list.guard);
  list.sweep_next = 0;
}

// All blocks that no sweep has come to yet. One that goes leaves its place to the list's last.
void sweep_rest(heap_state& heap, block_list& list, sweep_count& count) noexcept {
  for (;;) {
    TENURE_YIELD_POINT();
    std::uint32_t block;
    {
      const holding guard(list.guard);
      if (list.sweep_next >= list.blocks.size()) {
        list.sweep_next = ~std::size_t{0};
        return;
      }
      block = list.blocks[list.sweep_next];
      if (!sweep_in_list(heap, list, block, count)) {
        ++list.sweep_next;
        continue;
      }
    }
    give_block(heap, block, count);
  }
}

void sweep_large(heap_state& heap, sweep_count& count) noexcept {
  window& all = window::get();
  for (std::size_t i = 0;;) {
    std::uint32_t block;
    std::uint32_t run;
    {
      const holding guard(heap.large_guard);
      if (i >= heap.large.size()) return;
      block = heap.large[i];
      block_header& header = all.header(block);
      run = header.run_blocks;
      if (header.swept_cycle == heap.cycle.load(std::memory_order_relaxed)) {
        ++i;
        continue;
      }
      block_bits& bits = all.bits(block);
      header.swept_cycle = heap.cycle.load(std::memory_order_relaxed);
      const bool alive = (bits.marks[0].allocated.load(std::memory_order_relaxed) & bits.marks[0].alive()) != 0;
      const bool reached = bits.marks[0].marked.load(std::memory_order_relaxed) != 0;
      bits.marks[0].set(alive && reached ? 1 : 0);
      if (alive && !reached) count.born_bytes += std::size_t{run} * block_bytes;
      if (alive) {
        ++i;
        ++count.live_objects;
        count.live_bytes += std::size_t{run} * block_bytes;
        continue;
      }
      heap.large[i] = heap.large.back();
      heap.large.pop_back();
    }
    ++count.freed;
    heap.figures.block_bytes.fetch_sub(std::size_t{run} * block_bytes, std::memory_order_relaxed);
    heap.account.release(std::size_t{run} * block_bytes);
    all.give_run(block, run, false);
  }
}

}  // namespace

void poison_cell(char* cell, std::size_t bytes) noexcept { std::memset(cell, poison_byte, bytes); }

bool queue_dead(heap_state& heap) noexcept {
  bool are_all = true;
  // First all members, then the queue: whether a peer is dead must not depend on the order.
  for_each_dead(heap, [](const cell_place& at) { forget_dead_peers(at); });
  for_each_dead(heap, [&](const cell_place& at) {
    const detail::type_descriptor* type = type_of(at.cell);
    // Not one whose constructor threw, nor one that was destroyed already.
    if (type == nullptr || type->destroy == nullptr) return;
    are_all = queue_destructor(at.cell) && are_all;
    at.mark();
  });
  return are_all;
}

void destroy_all(heap_state& heap) noexcept {
  window& all = window::get();
  all.for_each_block(heap.number, [&](std::size_t block, const block_header& header) {
    if (!is_destroyed(header.kind)) return;
    for (std::size_t word = 0; word < word_count(header); ++word) {
      const std::uint64_t allocated = all.bits(block).marks[word].allocated.load(std::memory_order_acquire);
      all.for_each_cell(block, word, allocated, [](std::uint64_t, char* cell) {
        const detail::type_descriptor* type = type_of(cell);
        if (type != nullptr && type->destroy != nullptr) destroy_object(cell);
      });
    }
  });
}

void sweep(heap_state& heap, cycle_kind kind) noexcept {
  sweep_count count;
  count.keep_bytes = growth_after_full(heap);
  for (block_list& list : heap.lists) {
    if (kind == cycle_kind::young) {
      sweep_young(heap, list, count);
    } else {
      begin_all(list);
      sweep_rest(heap, list, count);
    }
  }
  heap.in_cells.bytes += std::exchange(count.live_bytes, 0);
  heap.in_cells.objects += std::exchange(count.live_objects, 0);
  sweep_large(heap, count);
  heap.keep_left_bytes = count.keep_bytes;
  const std::size_t live_bytes = heap.in_cells.bytes + count.live_bytes;
  const std::size_t live_objects = heap.in_cells.objects + count.live_objects;
  const std::size_t old_bytes = live_bytes - std::min(live_bytes, count.born_bytes);
  heap.promoted_bytes = old_bytes - std::min(old_bytes, std::exchange(heap.old_bytes, old_bytes));
  // What a thread holds in its runs and has not used yet is not an object.
  heap.figures.live_bytes.store(live_bytes - std::min(live_bytes, heap.unused_bytes), std::memory_order_relaxed);
  heap.figures.live_objects.store(live_objects - std::min(live_objects, heap.unused_cells), std::memory_order_relaxed);
  heap.figures.swept_block_bytes.store(heap.figures.block_bytes.load(std::memory_order_relaxed));
  heap.born_bytes = count.born_bytes - std::min(count.born_bytes, heap.unused_bytes);
  heap.figures.freed_objects.fetch_add(count.freed, std::memory_order_relaxed);
}

void leave_unswept(heap_state& heap) noexcept {
  window& all = window::get();
  std::size_t bytes = 0;
  std::size_t objects = 0;
  for (block_list& list : heap.lists) {
    begin_all(list);
    const holding guard(list.guard);
    for (const std::uint32_t block : list.blocks) {
      const block_header& header = all.header(block);
      std::size_t alive = 0;
      for (std::size_t word = 0; word < word_count(header); ++word) {
        const mark_words& marks = all.bits(block).marks[word];
        alive +=
            static_cast<std::size_t>(std::popcount(marks.alive() & marks.allocated.load(std::memory_order_relaxed)));
      }
      objects += alive;
      bytes += alive * header.cell_bytes;
    }
  }
  heap.in_cells = {bytes - std::min(bytes, heap.unused_bytes), objects - std::min(objects, heap.unused_cells)};
}

void sweep_large_alone(heap_state& heap) noexcept {
  sweep_count count;
  sweep_large(heap, count);
  heap.figures.live_bytes.store(heap.in_cells.bytes + count.live_bytes, std::memory_order_relaxed);
  heap.figures.live_objects.store(heap.in_cells.objects + count.live_objects, std::memory_order_relaxed);
  heap.figures.swept_block_bytes.store(heap.figures.block_bytes.load(std::memory_order_relaxed));
  heap.figures.freed_objects.fetch_add(count.freed, std::memory_order_relaxed);
  heap.born_bytes = 0;
}

bool sweep_for_room(heap_state& heap, block_list& list) noexcept {
  // A thread is in an operation here, for which a cycle waits. Where so many have no room, a new block is the answer.
  constexpr int most_at_once = 32;
  const window& all = window::get();
  sweep_count count;
  bool has_room = false;
  for (int i = 0; i < most_at_once && !has_room && list.sweep_next < list.blocks.size(); ++i) {
    const std::uint32_t block = list.blocks[list.sweep_next++];
    const block_left left = sweep_block(heap, block, count);
    if (left.is_young) list.make_young(block);
    if (!left.is_swept) continue;
    list.open_if_worth_it(block, all.header(block).cell_count - left.live_cells);
    has_room = all.header(block).next_open != not_chained;
  }
  heap.figures.freed_objects.fetch_add(count.freed, std::memory_order_relaxed);
  return has_room;
}

void finish_sweep(heap_state& heap) noexcept {
  if (heap.at.load(std::memory_order_relaxed) != stage::sweeping_all) return;
  sweep_count count;
  count.keep_bytes = growth_after_full(heap);
  for (block_list& list : heap.lists) sweep_rest(heap, list, count);
  heap.figures.freed_objects.fetch_add(count.freed, std::memory_order_relaxed);
  heap.figures.swept_block_bytes.store(heap.figures.block_bytes.load(std::memory_order_relaxed));
  heap.at.store(stage::idle, std::memory_order_release);
}

void clear_marks(heap_state& heap) noexcept {
  window& all = window::get();
  for_each_block(heap, [&](std::size_t block) {
    block_bits& bits = all.bits(block);
    for (std::size_t word = 0; word < word_count(all.header(block)); ++word) {
      bits.marks[word].set(0);
    }
  });
}

}  // namespace tenure::gc
