// Reference counts, deferred: kept of what objects lead to, and brought up to date by cycles alone.
//
//   counts   a number for each cell            slots of living objects that lead to its object
//   counted  a copy of the window              for each slot: what it led to when it was counted last
//
// A cycle looks at objects on marked cards and at new ones, and compares each slot with what was counted: one count up,
// one down, however often the slot was written in between (as Levanoni and Petrank, with the cards as their log). An
// object whose count is 0 and to which no local, root or queued destructor leads is dead, and what it led to is counted
// down in turn. So old garbage goes without a look at what lives; rings stay until a full cycle traces, which counts
// anew.
//
// Threads run on while they do not store a pointer. A store that a cycle does not see on its card any more marks the
// card before the thread stores the next, so a look at the cards marked meanwhile, in which counts only go up, makes up
// for what was counted down too early; what would go down there is owed until the next cycle.
#pragma once

#include <cstdint>
#include <vector>

#include "library/gc/heap_state.h"
#include "library/gc/window.h"

namespace tenure::gc {

inline bool is_counted(const heap_state& heap) noexcept { return heap.plan == plan::refcount; }

// Before a heap of the plan is made, with the cycle lock held. Throws std::bad_alloc when there are no addresses for
// the tables, which are as large as the window and a quarter.
void prepare_counting();
// The object in the cell is gone, and with it what it led to; its cell is about to be free. With the cycle lock held.
void forget_counted(heap_state& heap, const cell_place& at) noexcept;
// The blocks are about to be another heap's.
void forget_counted_blocks(std::size_t block, std::size_t run_blocks) noexcept;

// One cycle's, with the world stopped.
class counting {
 public:
  explicit counting(heap_state& heap) noexcept : heap_(heap), window_(window::get()) {}

  // A root leads to it.
  void hold(void* target) noexcept;
  // Brings the counts up to date. What is new is marked as what has survived is.
  void take_changes() noexcept;
  // What nothing leads to is not marked any more.
  void find_dead() noexcept;
  // What was found dead and has come to life again leads to what it leads to.
  void take_back() noexcept;
  // After a full cycle has marked: from nothing.
  void count_anew() noexcept;
  // Ends the program when a count is not that of the slots that were counted.
  void check() const noexcept;

 private:
  enum class old_value : std::uint8_t { counted_down, owed };

  void compare(char* slot, old_value how) noexcept;
  void compare_all(const cell_place& at, const char* first, const char* end, old_value how) noexcept;
  void compare_object(const cell_place& at) noexcept;
  void compare_cards(old_value how) noexcept;
  void count_new() noexcept;
  void hold_words(const cell_place& at) noexcept;
  void raise(void* target) noexcept;
  bool is_own(void* target) const noexcept;

  heap_state& heap_;
  window& window_;
  std::vector<char*> dead_;
};

}  // namespace tenure::gc
