// The end of entries that were taken out of a cache: freed at once, or when nobody holds them any more.
//
// What waits counts, and is looked at when room is wanted, or when as much again has come.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include <tenure/cache/entry.hpp>
#include <tenure/cache/hazards.hpp>
#include <tenure/cache/lock.hpp>
#include <tenure/cache/memory.hpp>

namespace tenure::detail {

template <class entry>
class departures : eviction::not_copied {
 public:
  using removed = removed_entries<entry>;

  explicit departures(cache_memory& memory) noexcept : memory_(memory) {}

  std::uint64_t waiting_count() const noexcept { return waiting_count_.load(std::memory_order_relaxed); }

  // Without the cache's lock: destructors run.
  void depart(removed& gone) {
    removed free, held;
    part(gone, free, held);
    if (!held.empty()) {
      const std::lock_guard hold(lock_);
      while (entry* const one = held.pop()) {
        waiting_.push(*one, one->cause);
        waiting_count_.fetch_add(1, std::memory_order_relaxed);
      }
    }
    destroy(free);
    // Somebody may have let go of what waits, and nobody else looks where the bound is no matter of bytes.
    if (waiting_count() >= looked_at_.load(std::memory_order_relaxed)) free_waiting();
  }

  // False when all are still held.
  bool free_waiting() {
    if (waiting_count() == 0) return false;
    removed free, held;
    {
      const std::lock_guard hold(lock_);
      part(waiting_, free, held);
      std::uint64_t left = 0;
      for (; entry* const one = held.pop(); ++left) waiting_.push(*one, one->cause);
      waiting_count_.store(left, std::memory_order_relaxed);
      // As much again may come before the next look, so that each that waits is looked at a few times only.
      looked_at_.store(2 * left + least_waiting, std::memory_order_relaxed);
    }
    const bool has_freed = !free.empty();
    destroy(free);
    return has_freed;
  }

 private:
  // That many wait without anybody looking whether they still have to.
  static constexpr std::uint64_t least_waiting = 8;

  // The hazards of all threads are looked at once for a batch. Hazards first: a reader pins before it lets its hazard
  // go.
  static void part(removed& all, removed& free, removed& held) noexcept {
    while (!all.empty()) {
      std::array<const void*, hazard_batch> batch;
      std::array<entry*, hazard_batch> entries;
      std::size_t count = 0;
      while (count < hazard_batch && !all.empty()) batch[count] = entries[count] = all.pop(), ++count;
      const std::uint32_t in_hands = held_among(std::span(batch).first(count));
      for (std::size_t i = 0; i < count; ++i) {
        const bool is_held = (in_hands >> i & 1) != 0 || entries[i]->is_pinned();
        (is_held ? held : free).push(*entries[i], entries[i]->cause);
      }
    }
  }

  void destroy(removed& free) {
    if (free.empty()) return;
    cache_memory::batch batch(memory_);
    while (entry* const one = free.pop()) {
      const std::uint64_t owned = one->owned_bytes;
      one->~entry();
      if (owned != 0) memory_.give(owned);
      memory_.deallocate(one, sizeof(entry), alignof(entry));
    }
  }

  cache_memory& memory_;
  cache_lock lock_;
  removed waiting_;
  std::atomic<std::uint64_t> waiting_count_{0};
  std::atomic<std::uint64_t> looked_at_{least_waiting};
};

}  // namespace tenure::detail
