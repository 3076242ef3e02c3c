// Who is looking at which entry: hazard pointers, so that a hit writes nothing that another thread reads.
//
//   thread 1  [ held x 5 | passing | next | in use, number ]  64 bytes
//   thread 2  [ ... ]
//
// A reader says in a slot of its own which entry it is about to look at, and looks once more whether the entry is still
// in its place; whoever takes an entry out frees it only when no slot names it. A handle keeps its slot for as long as
// it lives. Records are made one a thread, used again when the thread has ended, and never freed.
// Source: Michael, Hazard pointers: safe memory reclamation for lock-free objects, IEEE TPDS 2004.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <tenure/api.h>

namespace tenure::detail {

using hazard_slot = std::atomic<const void*>;

struct alignas(64) hazard_record {
  static constexpr std::size_t held_slots = 5;

  std::array<hazard_slot, held_slots> held{};
  hazard_slot passing{};  // while a reader has no free slot and pins the entry instead
  hazard_record* next = nullptr;
  std::atomic<std::uint32_t> in_use{0};
  std::uint32_t number = 0;

  // Null when the thread has that many handles. Acquire: another thread may have let the slot's handle go, and whoever
  // sees what this thread puts there next has to see what that one did before.
  hazard_slot* free_slot() noexcept {
    for (hazard_slot& one : held) {
      if (one.load(std::memory_order_acquire) == nullptr) return &one;
    }
    return nullptr;
  }
};
static_assert(sizeof(hazard_record) == 64);

// The record of this thread. Throws std::bad_alloc.
TENURE_API hazard_record& join_hazards();
// Which of them a thread holds, a bit for each from the lowest on, at most hazard_batch. What is no longer to be found
// anywhere, and is not held, will not be held.
inline constexpr std::size_t hazard_batch = 32;
TENURE_API std::uint32_t held_among(std::span<const void* const> entries) noexcept;

inline hazard_record& my_hazards() {
  static thread_local hazard_record* mine = nullptr;
  if (mine == nullptr) [[unlikely]]
    mine = &join_hazards();
  return *mine;
}

}  // namespace tenure::detail
