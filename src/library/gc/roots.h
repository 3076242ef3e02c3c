// The slots of root<T> and pin<T>: for all threads, given up in any order. Segments hold the ones or the others.
//
// Segments are only ever added, so the collector reads them without a lock. A free slot holds the address of the next
// free one plus one, which no pointer to an object is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <tenure/gc/detail/runtime.hpp>

#include "library/gc/lock.h"

namespace tenure::gc {

struct root_segment {
  static constexpr std::size_t slot_count = 511;
  root_segment* after;
  bool pins;  // what its slots lead to is not moved
  detail::root_slot slots[slot_count];
};

root_segment* first_root_segment() noexcept;

inline bool is_root_target(const void* in_slot) noexcept {
  return in_slot != nullptr && (reinterpret_cast<std::uintptr_t>(in_slot) & 1) == 0;
}

// Each root's and each pin's target: visit(void*).
template <class Visit>
void for_each_root(Visit visit) {
  for (root_segment* at = first_root_segment(); at != nullptr; at = at->after) {
    for (const detail::root_slot& slot : at->slots) {
      void* target = slot.load(std::memory_order_acquire);
      if (is_root_target(target)) visit(target);
    }
  }
}

// Each slot of a root, and of a pin, that leads to an object: visit(slot, void* target).
template <class Visit>
void for_each_root_slot(bool of_pins, Visit visit) {
  for (root_segment* at = first_root_segment(); at != nullptr; at = at->after) {
    if (at->pins != of_pins) continue;
    for (detail::root_slot& slot : at->slots) {
      void* target = slot.load(std::memory_order_acquire);
      if (is_root_target(target)) visit(slot, target);
    }
  }
}

lock& roots_lock() noexcept;

}  // namespace tenure::gc
