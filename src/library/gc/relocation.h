// Moving objects from cell to cell, and everything that leads to them along.
//
//   a cell that was left   [ address of the new cell, plus one | what was there ]
//
// With the world stopped and after the sweep: what is allocated is alive, what is not is free. The owner's thread runs
// it. First comes what has to stay, pinned in a bitmap; then the plan chooses who moves where; then the slots of all
// objects and all roots that lead to a cell that was left are given the new address; then empty blocks go back.
//
//   pinned    what locals and pins lead to, and whatever a word of the owner's stack or registers may lead to: raw
//             pointers and references need no care
//             keys of ephemerons, and what objects lead to that tell their peers apart by address
//             objects whose destructors are due
//   changed   members, both words of ephemerons, roots, weak cells, watches
#pragma once

#include <cstddef>
#include <cstdint>

#include "library/gc/heap_state.h"
#include "library/gc/object_slots.h"

namespace tenure::gc {

class relocation {
 public:
  explicit relocation(heap_state& heap) noexcept : heap_(heap), window_(window::get()) {}

  // Whether the object may be moved: not of one that was already, nor of one that came here by it.
  bool is_movable(const cell_place& at) const noexcept;
  // To a free cell of the same list. False when there is no memory for what is known beside it: it stays.
  bool move(const cell_place& from, const cell_place& to) noexcept;
  // Where the object is now that `target` leads to, or into.
  void* moved(void* target) const noexcept;

  // Objects that have come by it are followed already: the one who chooses has seen to their slots.
  void entered_are_followed() noexcept { entered_are_followed_ = true; }
  std::size_t live_count(std::size_t block) const noexcept;
  // A block for the list with all cells free, or npos.
  std::size_t add_block(std::size_t list) noexcept;

  // Slots of the object that lead to where one was lead to where it is.
  void follow_slots(const cell_place& at) noexcept;

  std::size_t moved_objects() const noexcept { return moved_objects_; }

  heap_state& heap() const noexcept { return heap_; }
  window& all() const noexcept { return window_; }

 private:
  friend void relocate(heap_state& heap, void (*choose)(relocation& by)) noexcept;

  void pin_all() noexcept;
  void pin(void* target) noexcept;
  void pin_for(const cell_place& at) noexcept;
  void follow() noexcept;
  void finish() noexcept;
  bool finish_block(std::size_t block) noexcept;

  heap_state& heap_;
  window& window_;
  std::size_t moved_objects_ = 0;
  std::size_t moved_bytes_ = 0;
  std::size_t pinned_objects_ = 0;
  bool entered_are_followed_ = false;
};

inline bool is_pinned(const cell_place& at) noexcept {
  return (at.marks->shaded.load(std::memory_order_relaxed) & at.bit) != 0;
}

// After the sweep of a cycle that the heap's owner runs; `choose` moves what the plan wants moved. Does nothing when
// nothing may be moved now (heap_of.hpp says when).
void relocate(heap_state& heap, void (*choose)(relocation& by)) noexcept;

// The calling thread allocates in a heap that moves its objects: it is the owner's, or nobody's yet. Ends the program
// with a message when it belongs to another.
void claim(heap_state& heap) noexcept;
// A thread ends: what was its own is nobody's.
void disown(const thread_state& ended) noexcept;

// Each object of the heap that the sweep has left, of kinds that have slots or of all: visit(place).
template <class Visit>
void for_each_object_in(std::size_t block, Visit visit) {
  window& all = window::get();
  const block_header& header = all.header(block);
  for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
    const std::uint64_t used = all.bits(block).marks[word].allocated.load(std::memory_order_relaxed);
    all.for_each_cell(block, word, used, [&](std::uint64_t, char* cell) { visit(all.place(cell)); });
  }
}
template <class Visit>
void for_each_object(heap_state& heap, bool (*wanted)(object_kind kind), Visit visit) {
  window::get().for_each_block(heap.number, [&](std::size_t block, const block_header& header) {
    if (wanted(header.kind)) for_each_object_in(block, visit);
  });
}
inline bool is_any(object_kind) noexcept { return true; }
inline bool has_slots_or_pairs(object_kind kind) noexcept { return detail::is_traced(kind); }

}  // namespace tenure::gc
