#include "library/gc/weak_cells.h"

#include <algorithm>
#include <memory>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/cycle.h"
#include "library/gc/sides.h"

namespace tenure::gc {

using detail::weak_cell;

namespace {

std::atomic<std::uint64_t> soft_clock_ms{0};  // 0: not started
std::atomic<std::uint64_t> soft_clock_of_test_ms{0};

bool is_of(const cell_place& at, const heap_state* heap) noexcept {
  return heap != nullptr && at.header->heap_number == heap->number;
}

// How long a soft reference may lie unused: the more room there is, the longer.
std::uint64_t soft_patience_ms(const heap_state& heap) noexcept {
  if (heap.memory_is_short) return 0;
  const std::size_t limit_bytes = heap.limit_bytes.load(std::memory_order_relaxed);
  const std::size_t live_bytes = heap.figures.live_bytes.load(std::memory_order_relaxed);
  const std::size_t headroom_bytes =
      std::max(heap.headroom_bytes.load(std::memory_order_relaxed), heap.least_growth_bytes);
  const std::size_t free_bytes = limit_bytes != 0 ? limit_bytes - std::min(limit_bytes, live_bytes) : headroom_bytes;
  return (free_bytes >> 20) * heap.soft_ms_per_free_mib.load(std::memory_order_relaxed);
}

}  // namespace

// The phase is read before the target: what a finished cycle has cleared is then seen to be null.
verdict look_at(const std::atomic<void*>& where, void*& target) noexcept {
  TENURE_YIELD_POINT();
  const phase now = current_phase();
  TENURE_YIELD_POINT();
  target = where.load(std::memory_order_acquire);
  if (target == nullptr) return verdict::dead;
  if (now == phase::idle) return verdict::alive;
  const cell_place at = window::get().place(target);
  if (!is_of(at, active_heap()) || at.is_alive()) return verdict::alive;
  // `stopped` in an operation that began before: with a heap active it is the verifier's stop, marking is over.
  return now == phase::marking ? verdict::unknown : verdict::dead;
}

void resolve_weak_cells(heap_state& heap) noexcept {
  window& all = window::get();
  for_each_side(heap, [&](std::size_t block, std::size_t word, side_word& side) {
    const std::uint64_t dead = side.weak.bits() & ~all.bits(block).marks[word].alive();
    for (std::uint64_t left = dead; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      TENURE_YIELD_POINT();
      side.weak.find(bit)->target.store(nullptr, std::memory_order_release);
      side.weak.remove(bit);
    }
    side.soft &= ~dead;
  });
}

void keep_soft(heap_state& heap, marker& into) noexcept {
  const std::uint64_t patience_ms = soft_patience_ms(heap);
  if (patience_ms == 0) return;
  const std::uint64_t now_ms = soft_clock_ms.load(std::memory_order_relaxed);
  window& all = window::get();
  for_each_side(heap, [&](std::size_t block, std::size_t word, side_word& side) {
    std::uint64_t unmarked = side.soft & ~all.bits(block).marks[word].alive();
    for (; unmarked != 0; unmarked &= unmarked - 1) {
      const weak_cell& cell = *side.weak.find(unmarked & (~unmarked + 1));
      const std::uint64_t used_ms = cell.used_ms.load(std::memory_order_relaxed);
      if (cell.soft.load(std::memory_order_relaxed) == 0 || now_ms - std::min(now_ms, used_ms) >= patience_ms) continue;
      into.push(cell.target.load(std::memory_order_relaxed), nullptr);
    }
  });
}

void advance_soft_clock() noexcept {
  const std::uint64_t told_ms = soft_clock_of_test_ms.load(std::memory_order_relaxed);
  soft_clock_ms.store(told_ms != 0 ? told_ms : monotonic_ns() / 1'000'000, std::memory_order_relaxed);
}

void start_soft_clock() noexcept {
  if (soft_clock_ms.load(std::memory_order_relaxed) == 0) advance_soft_clock();
}

void set_soft_clock(std::uint64_t now_ms) noexcept { soft_clock_of_test_ms.store(now_ms); }

}  // namespace tenure::gc

namespace tenure::gc::detail {

weak_target take_weak_cell(void* target, strength how) {
  const cell_place at = window::get().place(target);
  lock& guard = side_lock(at);
  const holding held(guard);
  try {
    side_word& side = make_side(at);
    weak_cell* found = side.weak.find(at.bit);
    if (found == nullptr) {
      auto made = std::make_unique<weak_cell>(at.cell, guard);
      side.weak.add(at.bit, made.get());
      found = made.release();
    }
    found->references.fetch_add(1, std::memory_order_relaxed);
    if (how == strength::soft) {
      found->soft.fetch_add(1, std::memory_order_relaxed);
      side.soft |= at.bit;
      touch_weak_cell(found);
    }
    return {found, static_cast<char*>(target) - at.cell};
  } catch (...) {
    keep_side(at.block, at.index / 64);
    throw;
  }
}

void share_weak_cell(weak_cell* cell, strength how) noexcept {
  cell->references.fetch_add(1, std::memory_order_relaxed);
  if (how == strength::soft) cell->soft.fetch_add(1, std::memory_order_relaxed);
}

void give_weak_cell(weak_cell* cell, strength how) noexcept {
  if (how == strength::soft) cell->soft.fetch_sub(1, std::memory_order_relaxed);
  std::uint32_t seen = cell->references.load(std::memory_order_relaxed);
  while (seen > 1) {
    if (cell->references.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) return;
  }
  const holding_side guard(cell->guard);
  seen = cell->references.fetch_sub(1, std::memory_order_acq_rel);
  TENURE_CHECK(seen != 0);
  if (seen != 1) return;
  if (void* target = cell->target.load(std::memory_order_relaxed)) {
    const cell_place at = window::get().place(target);
    side_word* side = find_side(at);
    side->weak.remove(at.bit);
    side->soft &= ~at.bit;
    keep_side(at.block, at.index / 64);
  }
  delete cell;
}

void touch_weak_cell(weak_cell* cell) noexcept {
  const std::uint64_t now_ms = soft_clock_ms.load(std::memory_order_relaxed);
  if (cell->used_ms.load(std::memory_order_relaxed) != now_ms) cell->used_ms.store(now_ms, std::memory_order_relaxed);
}

bool lock_weakly(const std::atomic<void*>& where, root_slot* into) noexcept {
  void* target = nullptr;
  {
    const operation held;
    const verdict seen = look_at(where, target);
    if (seen == verdict::alive) held.keep(into, target);
    if (seen != verdict::unknown) return seen == verdict::alive;
  }
  // Not marked yet. The gate keeps marking from ending between this look and the shade.
  const holding gate(weak_gate());
  const operation held;
  if (look_at(where, target) == verdict::dead) return false;
  held.keep(into, target);
  return true;
}

bool lock_weak_cell(weak_cell* cell, root_slot* into) noexcept { return lock_weakly(cell->target, into); }

bool is_expired(const weak_cell* cell) noexcept {
  void* target = nullptr;
  const operation held;
  return look_at(cell->target, target) == verdict::dead;
}

}  // namespace tenure::gc::detail
