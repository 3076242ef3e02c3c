#include "library/gc/weak_cells.h"

#include <unordered_map>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/cycle.h"

namespace tenure::gc::detail {

struct weak_cell {
  explicit weak_cell(void* cell) noexcept : target(cell) {}
  std::atomic<void*> target;     // the object's cell plus one word, which is in the object or at its end
  std::uint32_t references = 0;  // guarded by the lock
};

}  // namespace tenure::gc::detail

namespace tenure::gc {

using detail::weak_cell;

namespace {

lock cells_lock;
using cell_map = std::unordered_map<void*, weak_cell*>;
cell_map& cells() {  // by the object's cell; guarded by cells_lock
  static cell_map* const made = new cell_map;
  return *made;
}

cell_place place_of(void* target) noexcept { return window::get().place(target); }

bool is_of(const cell_place& at, const heap_state* heap) noexcept {
  return heap != nullptr && at.header->heap_number == heap->number;
}

enum class verdict { alive, dead, unknown };

// In an operation. The phase is read before the target: what a finished cycle has cleared is then seen to be null.
verdict look_at(const weak_cell& cell, void*& target) noexcept {
  TENURE_YIELD_POINT();
  const phase now = current_phase();
  TENURE_YIELD_POINT();
  target = cell.target.load(std::memory_order_acquire);
  if (target == nullptr) return verdict::dead;
  if (now == phase::idle) return verdict::alive;
  const cell_place at = place_of(target);
  if (!is_of(at, active_heap()) || at.is_marked()) return verdict::alive;
  // `stopped` in an operation that began before: with a heap active it is the verifier's stop, marking is over.
  return now == phase::marking ? verdict::unknown : verdict::dead;
}

}  // namespace

lock& weak_cells_lock() noexcept { return cells_lock; }

void resolve_weak_cells(heap_state& heap) noexcept {
  const holding guard(cells_lock);
  cell_map& all = cells();
  for (auto at = all.begin(); at != all.end();) {
    const cell_place place = place_of(at->first);
    if (!is_of(place, &heap) || place.is_marked()) {
      ++at;
      continue;
    }
    TENURE_YIELD_POINT();
    at->second->target.store(nullptr, std::memory_order_release);
    if (at->second->references == 0) delete at->second;
    at = all.erase(at);
  }
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

weak_cell* take_weak_cell(void* target) {
  void* cell = place_of(target).cell;
  const holding guard(cells_lock);
  weak_cell*& found = cells()[cell];
  if (found == nullptr) {
    try {
      found = new weak_cell(cell);
    } catch (...) {
      cells().erase(cell);
      throw;
    }
  }
  ++found->references;
  return found;
}

void share_weak_cell(weak_cell* cell) noexcept {
  const holding guard(cells_lock);
  ++cell->references;
}

void give_weak_cell(weak_cell* cell) noexcept {
  const holding guard(cells_lock);
  TENURE_CHECK(cell->references != 0);
  if (--cell->references != 0) return;
  if (void* target = cell->target.load(std::memory_order_relaxed)) cells().erase(target);
  delete cell;
}

bool lock_weak_cell(weak_cell* cell, root_slot* into) noexcept {
  void* target = nullptr;
  {
    const operation held;
    const verdict seen = look_at(*cell, target);
    if (seen == verdict::alive) held.keep(into, target);
    if (seen != verdict::unknown) return seen == verdict::alive;
  }
  // Not marked yet. The gate keeps marking from ending between this look and the shade.
  const holding gate(weak_gate());
  const operation held;
  if (look_at(*cell, target) == verdict::dead) return false;
  held.keep(into, target);
  return true;
}

bool is_expired(const weak_cell* cell) noexcept {
  void* target = nullptr;
  const operation held;
  return look_at(*cell, target) == verdict::dead;
}

}  // namespace tenure::gc::detail
