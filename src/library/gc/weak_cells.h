// What the weak references to one object share: its address, until it is dead.
#pragma once

#include "library/gc/heap_state.h"

namespace tenure::gc {

// With what is marked final: the cells of objects of the heap that are not marked become null.
void resolve_weak_cells(heap_state& heap) noexcept;
lock& weak_cells_lock() noexcept;

}  // namespace tenure::gc
