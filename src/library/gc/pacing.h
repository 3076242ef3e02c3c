// When the next cycle is worth it, what the last ones have cost, and what share of the processors they may take.
#pragma once

#include <chrono>

#include "library/gc/collect.h"

namespace tenure::gc {

// With the cycle lock held: how much may be allocated during a cycle of that kind, and, when it is measured, before the
// next.
void prepare_pace(heap_state& heap, cycle_kind kind) noexcept;
void set_pace(heap_state& heap, cycle_kind kind) noexcept;
// How much the heap may have grown by since the last full cycle when the next one ends. So much of what gets free stays
// resident.
std::size_t growth_after_full(const heap_state& heap) noexcept;
// With the cycle lock held: of free blocks that are resident only as many stay so as the heaps that there are may come
// to need. A heap that has become small has left more.
void return_surplus() noexcept;
// With the cycle lock held: whether the heap as a whole has grown so much that the old objects have to be looked at,
// too.
bool is_full_due(const heap_state& heap) noexcept;

// Whether the collector has had its share of the processors for now.
bool is_over_share(heap_state& heap) noexcept;

// Around a cycle, with the cycle lock held: what it took goes to the heap's figures, its log, its share and its
// account.
class cycle_measure {
 public:
  cycle_measure(heap_state& of, cycle_kind kind) noexcept;
  void end() noexcept;

 private:
  heap_state& heap_;
  cycle_event event_{};
  std::uint64_t handshake_ns_;
  std::uint64_t shaded_;
};

}  // namespace tenure::gc
