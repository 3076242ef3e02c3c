// Heap map: what lies where in the heap, put together for the command (wire/heap_map.h).
//
// Built under all the heap's locks, in a copy of the process in which nobody else runs; it uses the spans' scratch
// pointers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/link.h"
#include "core/pages/span.h"
#include "wire/heap_map.h"

namespace tenure::core {

class heap_map {
 public:
  // False when there is no memory for it.
  bool build() noexcept;
  // The records with their bits, one behind the other.
  const std::byte* begin() const noexcept { return memory_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::uint64_t unread_lists() const noexcept { return unread_lists_; }

 private:
  static void measure(void* map, span* of) noexcept;
  static void add(void* map, span* of) noexcept;
  static void note_cached(void* map, free_block* block) noexcept;
  static void note_batch(void* map, free_block* block) noexcept;

  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint64_t unread_lists_ = 0;
};

}  // namespace tenure::core
