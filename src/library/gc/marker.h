// Marks what is reachable. One thread, the one that runs the cycle.
//
//   push(p) ──▶ [ found: the mark word is on its way ] ──▶ mark ──▶ [ near: the cell is on its way ] ──▶ trace its
//   slots
//                                                            │ near is full                 ▲                    │
//                                                            └──────▶ stack ────────────────┘         push(each) ┘
//
// What costs is waiting for memory, so a place spends some time between being found and being looked at, first at its
// mark, then at the object. Most links lead to what is marked already: those objects are never fetched. Each object is
// marked before it goes to the stack, so it is there once at most, and those without pointers never are. A long array
// is traced in pieces. When there is no memory for the stack, what would have gone there is left, and when all else is
// done the marked objects are looked through for what they lead to that is not marked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include <tenure/gc/detail/descriptor.hpp>

#include "library/gc/heap_state.h"
#include "library/gc/window.h"

namespace tenure::gc {

class marker {
 public:
  explicit marker(heap_state& heap) noexcept : heap_(heap), window_(window::get()) {}

  // `target` is not null. Pointers into other heaps are refused with a message where `from` is an object of this one,
  // and passed over where it is a root (null).
  void push(void* target, const detail::type_descriptor* from) noexcept;
  // Marks it and finds what it leads to before returning.
  void trace_now(const cell_place& at) noexcept;
  // The slots of a marked object that lie in [first, end).
  void trace_range(const cell_place& at, const char* first, const char* end) noexcept;
  // Until nothing is left, but for pairs that wait for their keys.
  void drain() noexcept;
  // Values of waiting pairs whose keys are marked by now. False when there was none: then, with nothing else left, the
  // keys of all that wait are not reachable.
  bool pass_pairs() noexcept;
  // Both, until nothing is left.
  void drain_all() noexcept {
    do drain();
    while (pass_pairs());
  }
  // Each pair that waits: look(char* its words).
  template <class Visit>
  void for_each_waiting(Visit look) const {
    for (const waiting_pair& each : waiting_) look(each.words);
    for (const auto& [key, each] : by_key_) look(each.words);
  }
  bool has_lost_pairs() const noexcept { return lost_pairs_; }

  std::uint64_t marked_objects() const noexcept { return marked_; }
  // Tests: how many words the stack may have, and how many pairs may wait.
  void limit_stack(std::size_t words) noexcept { most_words_ = words; }
  void limit_waiting(std::size_t pairs) noexcept { most_waiting_ = pairs; }

 private:
  static constexpr std::size_t found_size = 32;
  static constexpr std::size_t near_size = 8;
  static constexpr std::size_t array_piece = 1024;  // elements
  static constexpr unsigned passes_without_table = 8;
  // An object to trace, from that element on if it is an array. On the stack a word, the cell's address; with its
  // lowest bit set there is the element's number below it.
  struct untraced {
    char* cell;
    std::size_t next_element;
  };

  struct waiting_pair {
    const detail::type_descriptor* type;  // of the object that has it
    char* words;
  };

  // What of a place marking needs, each word written and read alone: a place that is copied in wider pieces than it was
  // written in waits for the writes.
  struct waiting_cell {
    char* cell;
    const block_header* header;
    mark_words* marks;
    std::uint64_t bit;
  };

  void push_here(void* target, const detail::type_descriptor* from) noexcept;
  bool mark_checked(const waiting_cell& at) noexcept;  // false: it was marked already
  void mark(const waiting_cell& at) noexcept;
  void trace_nearest() noexcept;
  void add_near(const untraced& added) noexcept;
  void trace(char* cell, std::size_t from_element, bool whole) noexcept;
  void trace_elements(const detail::type_descriptor& type, char* first, std::size_t count) noexcept;
  void trace_words(char* first, std::size_t bytes) noexcept;
  bool stack_push(const untraced& added) noexcept;  // false: there is no memory
  untraced stack_pop() noexcept;
  cell_place placed(void* target, const detail::type_descriptor* from) const noexcept;
  void trace_pair(const detail::type_descriptor& type, char* words) noexcept;
  bool push_value(const waiting_pair& of) noexcept;
  void wait_for_key(const waiting_pair& added, char* key) noexcept;
  void keep_by_key() noexcept;
  void wake(char* key) noexcept;
  bool look_through_pairs() noexcept;
  void drain_what_is_known() noexcept;  // without what was lost
  void look_through_marked() noexcept;

  heap_state& heap_;
  window& window_;
  waiting_cell found_[found_size];
  std::size_t found_first_ = 0;
  std::size_t found_count_ = 0;
  untraced near_[near_size];
  std::size_t near_first_ = 0;
  std::size_t near_count_ = 0;
  std::vector<std::uintptr_t> stack_;
  std::size_t most_words_ = ~std::size_t{0};
  std::vector<waiting_pair> waiting_;
  // A chain of pairs, each the key of the next, may need as many passes as it has links. After some they wait by their
  // keys, and whoever is marked is asked for.
  std::unordered_multimap<char*, waiting_pair> by_key_;
  bool is_by_key_ = false;
  unsigned passes_ = 0;
  std::size_t most_waiting_ = ~std::size_t{0};
  bool lost_pairs_ = false;  // for want of memory some wait nowhere: all are looked through instead
  std::uint64_t marked_ = 0;
  bool lost_ = false;
};

// The type of a cell, or null when it is not constructed yet.
inline detail::type_descriptor* type_of(const char* cell) noexcept {
  return __atomic_load_n(reinterpret_cast<detail::type_descriptor* const*>(cell), __ATOMIC_ACQUIRE);
}
inline void* read_slot(const char* at) noexcept {
  return __atomic_load_n(reinterpret_cast<void* const*>(at), __ATOMIC_ACQUIRE);
}
inline std::size_t element_count(const detail::type_descriptor& type, char* cell) noexcept {
  return type.is_array ? detail::array_count(cell)->load(std::memory_order_relaxed) : 1;
}
// Offsets of the type's slots; null when they cannot be known yet.
const std::uint32_t* slots_of(detail::type_descriptor& type, void* object) noexcept;

}  // namespace tenure::gc
