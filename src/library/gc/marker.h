// Marks what is reachable. One thread, the one that runs the cycle.
//
//   push(p) ──▶ [ ring of 16: the cell and its mark word are on their way to the cache ] ──▶ mark, trace its slots
//                       │ full                                            ▲
//                       └──────────▶ stack ───────────────────────────────┘
//
// What costs is waiting for memory, so an address spends some time between being found and being looked at. A long
// array is traced in pieces. When there is no memory for the stack, what would have gone there is marked and left, and
// when all else is done the marked objects are looked through for what they lead to that is not marked.
#pragma once

#include <cstddef>
#include <cstdint>
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
  // Until nothing is left.
  void drain() noexcept;

  std::uint64_t marked_objects() const noexcept { return marked_; }
  // Tests: how many entries the stack may have.
  void limit_stack(std::size_t entries) noexcept { most_entries_ = entries; }

 private:
  static constexpr std::size_t ring_size = 16;
  static constexpr std::size_t array_piece = 1024;  // elements
  struct entry {
    char* cell;
    std::size_t next_element;
  };

  bool mark_checked(const cell_place& at) noexcept;  // false: it was marked already
  void visit(const cell_place& at) noexcept;
  void trace(char* cell, std::size_t from_element, bool whole) noexcept;
  void trace_elements(const detail::type_descriptor& type, char* first, std::size_t count) noexcept;
  void trace_words(char* first, std::size_t bytes) noexcept;
  bool stack_push(entry added) noexcept;  // false: there is no memory, and all marked objects are looked at later
  void pass_ring() noexcept;
  void look_through_marked() noexcept;

  heap_state& heap_;
  window& window_;
  cell_place ring_[ring_size];
  std::size_t ring_first_ = 0;
  std::size_t ring_count_ = 0;
  std::vector<entry> stack_;
  std::size_t most_entries_ = ~std::size_t{0};
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
