// Watches: what a cycle tells when objects end, or would have ended without a guardian.
//
//   weak references resolved ──▶ guarded objects marked again ──▶ destructors queued ──▶ memory free ──▶ phantoms told
#pragma once

#include <tenure/gc/detail/watch.hpp>

#include "library/gc/heap_state.h"
#include "library/gc/marker.h"

namespace tenure::gc {

using detail::watch;

// Guarded objects that are not marked: their watches, which are the caller's now, in the order of their addresses.
watch* take_guarded(heap_state& heap) noexcept;
// The same for what is told when memory is free: of objects that are not marked when destructors are queued already.
watch* take_phantoms(heap_state& heap) noexcept;
watch* take_phantoms_of(const cell_place& at) noexcept;
// Into their queues. Guarded objects are roots from here on.
void tell(watch* first) noexcept;
// Nobody is told: the heap goes away.
void abandon(watch* first) noexcept;
// Those that nobody is told of any more, for such a reason or because the queue is gone, end here, and with them the
// program's notes: with no lock held and no world stopped.
void end_abandoned() noexcept;

lock& watches_lock() noexcept;

}  // namespace tenure::gc
