// Roots: where a program keeps pointers that lead to its blocks, in a copy of it in which nobody runs.
//
//   map ─► writable private mappings, without the heap and without what is Tenure's own
//            └► in pieces: storage that came with a thread │ a thread's stack from its pointer on │ other memory
//   threads ─► their registers, and the vectors of their dynamic thread-local blocks
//
// They are told in an order: data of modules, other memory, thread-local storage, stacks, registers. What several lead
// to is held by the first, and a variable says more to whoever asks who holds a block than what a stack has in it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/scan/memory_map.h"
#include "wire/leak_scan.h"

namespace tenure::core {

// Of the thread that scans.
struct own_stack {
  std::uintptr_t frame;  // below it lies what the scan itself uses
  bool is_root;          // a thread of the program
  std::uint32_t thread;  // its number
};

class root_finder {
 public:
  // `all_stopped`: there is no thread whose registers are unknown.
  root_finder(const memory_map& map, const own_stack& own, bool all_stopped) noexcept
      : map_(map), own_(own), all_stopped_(all_stopped) {}

  // False when there is no memory.
  bool prepare() noexcept;
  using range_visitor = void (*)(void* context, const wire::root_range& range);
  void for_each_range(range_visitor visit, void* context) noexcept;
  // The C library points into the inside of the vector of a thread's dynamic thread-local blocks; here, at these
  // places.
  using place_visitor = void (*)(void* context, std::uintptr_t place);
  void for_each_vector(place_visitor visit, void* context) const noexcept;

 private:
  enum class turn { module_data, memory, thread_locals, stacks };
  // What is known of a thread that stands still.
  struct known_thread {
    std::uint32_t id;
    std::uintptr_t stack_pointer;
    std::uintptr_t thread_pointer;
    std::uintptr_t locals_begin;  // storage that came with the thread, and its control block
    std::uintptr_t locals_end;
  };
  struct gap_visit;

  void note_thread(std::uint32_t id, std::uintptr_t stack_pointer, std::uintptr_t thread_pointer) noexcept;
  void find_locals(known_thread& of) const noexcept;
  bool is_readable(std::uintptr_t begin, std::uintptr_t end) const noexcept;
  void note_vector(std::uintptr_t thread_pointer) noexcept;
  std::uintptr_t first_root(const mapping& one) noexcept;
  std::uintptr_t end_of_left_stack(const mapping& one) noexcept;
  bool is_of_a_thread(std::uintptr_t thread_pointer) const noexcept;
  bool is_module_data(std::size_t index) const noexcept;

  void tell_mappings(turn now, range_visitor visit, void* context) noexcept;
  static void tell_gap(void* told, std::uintptr_t begin, std::uintptr_t end) noexcept;
  void tell_range(std::size_t index, turn now, std::uintptr_t at, std::uintptr_t end, range_visitor visit,
                  void* context) const noexcept;
  void tell_pieces(std::size_t index, turn now, std::uintptr_t at, std::uintptr_t end, range_visitor visit,
                   void* context) const noexcept;
  // What lies at the beginning of the range, and how far that reaches.
  wire::root_range piece_at(const mapping& one, std::uintptr_t at, std::uintptr_t end) const noexcept;

  const memory_map& map_;
  const own_stack own_;
  const bool all_stopped_;
  touched_pages touched_;
  known_thread* threads_ = nullptr;
  std::size_t thread_count_ = 0;
  std::uintptr_t* first_roots_ = nullptr;  // by mapping
  std::uintptr_t* vectors_ = nullptr;
  std::size_t vector_count_ = 0;
};

}  // namespace tenure::core
