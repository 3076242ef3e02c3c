// The slots of root<T>: for all threads, given up in any order.
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
  detail::root_slot slots[slot_count];
};

root_segment* first_root_segment() noexcept;

// Each root's target: visit(void*).
template <class Visit>
void for_each_root(Visit visit) {
  for (root_segment* at = first_root_segment(); at != nullptr; at = at->after) {
    for (const detail::root_slot& slot : at->slots) {
      void* target = slot.load(std::memory_order_acquire);
      if (target != nullptr && (reinterpret_cast<std::uintptr_t>(target) & 1) == 0) visit(target);
    }
  }
}

lock& roots_lock() noexcept;

}  // namespace tenure::gc
