// Ephemerons: pairs of words in managed objects, of which the first is weak and the second is traced while what the
// first leads to is alive.
//
//   marking     a pair whose key is marked: its value is. Any other waits with the marker until all else is done, and
//               is asked again until no more of them comes to life
//   resolving   a pair whose key is not marked is emptied, under the weak gate or with the world stopped
//
// Objects with pairs have blocks of their own, whose cards are cleaned where the pairs are looked at last, and not
// where a young cycle begins: so the dirty ones are those with each pair that was set since the last cycle, and all
// others have old keys and old values.
#pragma once

#include <tenure/gc/detail/runtime.hpp>

#include "library/gc/collect.h"
#include "library/gc/heap_state.h"
#include "library/gc/marker.h"

namespace tenure::gc {

// With what is marked final, of the heap's living objects: each pair that was set since the last cycle, and in a full
// cycle each pair, is empty when its key is not marked.
void resolve_pairs(heap_state& heap, cycle_kind kind) noexcept;
// The same for pairs that are still waiting with the marker; nobody else can reach them.
void resolve_waiting(heap_state& heap, const marker& marks) noexcept;

// Of a dying object.
void forget_dead(detail::pair_words& pair) noexcept;

}  // namespace tenure::gc
