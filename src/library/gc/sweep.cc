#include "library/gc/sweep.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/ephemerons.h"
#include "library/gc/finalizer.h"
#include "library/gc/marker.h"

namespace tenure::gc {

namespace {

constexpr int poison_byte = 0xDB;

std::size_t word_count(const block_header& header) noexcept { return (header.cell_count + 63) / 64; }

// Each cell of the heap that has a destructor and is not marked: visit(cell).
template <class Visit>
void for_each_dead(heap_state& heap, Visit visit) {
  window& all = window::get();
  all.for_each_block(heap.number, [&](std::size_t block, const block_header& header) {
    if (!is_destroyed(header.kind)) return;
    const block_bits& bits = all.bits(block);
    for (std::size_t word = 0; word < word_count(header); ++word) {
      // In this order: a cell is marked before it is allocated.
      const std::uint64_t allocated = bits.allocated[word].load(std::memory_order_acquire);
      const std::uint64_t dead = allocated & ~bits.marks[word].alive();
      all.for_each_cell(block, word, dead, [&](std::uint64_t, char* cell) { visit(all.place(cell)); });
    }
  });
}

bool is_dead(void* target) noexcept {
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
      if (target != nullptr && is_dead(target)) {
        __atomic_store_n(reinterpret_cast<void**>(element + offsets[i]), nullptr, __ATOMIC_RELEASE);
      }
    }
    for (std::uint32_t i = 0; i < type->pair_count; ++i) {
      forget_dead(*reinterpret_cast<detail::pair_words*>(element + offsets[type->slot_count + i]));
    }
  }
}

struct sweep_count {
  std::size_t live_bytes = 0;
  std::size_t live_objects = 0;
  std::size_t born_bytes = 0;  // of the live: marked at birth and reached by nobody yet
  std::uint64_t freed = 0;
  std::size_t keep_bytes = 0;  // how much of what gets free stays resident
};

// With the list's lock held; true when nothing is left in it.
bool sweep_block(heap_state& heap, std::size_t block, sweep_count& count) noexcept {
  window& all = window::get();
  block_header& header = all.header(block);
  block_bits& bits = all.bits(block);
  // A block that came after marking: nothing in it is marked, and nothing is dead.
  const bool is_new = header.swept_cycle == heap.cycle.load(std::memory_order_relaxed);
  std::uint64_t any = 0;
  for (std::size_t word = 0; word < word_count(header) && !is_new; ++word) {
    const std::uint64_t before = bits.allocated[word].load(std::memory_order_relaxed);
    const std::uint64_t after = before & bits.marks[word].alive();
    bits.allocated[word].store(after, std::memory_order_relaxed);
    const std::uint64_t old = after & bits.marks[word].marked.load(std::memory_order_relaxed);
    bits.marks[word].set(old);
    count.born_bytes += static_cast<std::size_t>(std::popcount(after & ~old)) * header.cell_bytes;
    any |= after;
    count.live_objects += static_cast<std::size_t>(std::popcount(after));
    count.live_bytes += static_cast<std::size_t>(std::popcount(after)) * header.cell_bytes;
    std::uint64_t dead = before & ~after;
    if (dead == 0) continue;
    bits.to_clear[word] |= dead;
    count.freed += static_cast<std::uint64_t>(std::popcount(dead));
    for (; heap.poison && dead != 0; dead &= dead - 1) {
      const auto index = word * 64 + static_cast<std::size_t>(std::countr_zero(dead));
      poison_cell(all.address_of(block) + index * header.cell_bytes, header.cell_bytes);
    }
  }
  header.swept_cycle = heap.cycle.load(std::memory_order_relaxed);
  return !is_new && any == 0 && header.words_held == 0;
}

void sweep_list(heap_state& heap, block_list& list, sweep_count& count) noexcept {
  window& all = window::get();
  {
    const holding guard(list.guard);
    list.cursor_block = 0;
    list.cursor_word = 0;
  }
  for (std::size_t i = 0;;) {
    TENURE_YIELD_POINT();
    std::uint32_t block;
    {
      const holding guard(list.guard);
      if (i >= list.blocks.size()) return;
      block = list.blocks[i];
      if (!sweep_block(heap, block, count)) {
        ++i;
        continue;
      }
      list.blocks[i] = list.blocks.back();
      list.blocks.pop_back();
    }
    heap.figures.block_bytes.fetch_sub(block_bytes, std::memory_order_relaxed);
    heap.account.release(block_bytes);
    const bool keep = count.keep_bytes >= block_bytes;
    if (keep) count.keep_bytes -= block_bytes;
    all.give_run(block, 1, keep);
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
      const bool alive = (bits.allocated[0].load(std::memory_order_relaxed) & bits.marks[0].alive()) != 0;
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

void queue_dead(heap_state& heap) noexcept {
  // First all members, then the queue: whether a peer is dead must not depend on the order.
  for_each_dead(heap, [](const cell_place& at) { forget_dead_peers(at); });
  for_each_dead(heap, [](const cell_place& at) {
    const detail::type_descriptor* type = type_of(at.cell);
    // Not one whose constructor threw, nor one that was destroyed already.
    if (type == nullptr || type->destroy == nullptr) return;
    queue_destructor(at.cell);
    at.mark();
  });
}

void sweep(heap_state& heap) noexcept {
  sweep_count count;
  count.keep_bytes = heap.growth_bytes.load(std::memory_order_relaxed);
  for (block_list& list : heap.lists) sweep_list(heap, list, count);
  sweep_large(heap, count);
  heap.keep_left_bytes = count.keep_bytes;
  // What a thread holds in its words and has not used yet is not an object.
  heap.figures.live_bytes.store(count.live_bytes - std::min(count.live_bytes, heap.unused_bytes),
                                std::memory_order_relaxed);
  heap.figures.live_objects.store(count.live_objects - std::min(count.live_objects, heap.unused_cells),
                                  std::memory_order_relaxed);
  heap.figures.swept_block_bytes.store(heap.figures.block_bytes.load(std::memory_order_relaxed));
  heap.born_bytes = count.born_bytes - std::min(count.born_bytes, heap.unused_bytes);
  heap.figures.freed_objects.fetch_add(count.freed, std::memory_order_relaxed);
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
