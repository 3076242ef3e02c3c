#include "core/os/own_memory.h"

#include "core/base/check.h"

namespace tenure::os {
namespace {

constexpr std::uintptr_t taken = 1;  // being filled; no range begins there

// begin is 0 in a free place, and written last.
memory_range ranges[own_range_limit];
std::size_t used_places = 0;  // atomic

bool take_place(std::size_t place) noexcept {
  std::uintptr_t nothing = 0;
  return __atomic_load_n(&ranges[place].begin, __ATOMIC_RELAXED) == 0 &&
         __atomic_compare_exchange_n(&ranges[place].begin, &nothing, taken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void note_used(std::size_t count) noexcept {
  std::size_t seen = __atomic_load_n(&used_places, __ATOMIC_RELAXED);
  while (seen < count &&
         !__atomic_compare_exchange_n(&used_places, &seen, count, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
  }
}

}  // namespace

void own_memory(const void* begin, std::size_t bytes) noexcept {
  TENURE_DCHECK(begin != nullptr && bytes != 0);
  for (std::size_t place = 0; place < own_range_limit; ++place) {
    if (!take_place(place)) continue;
    const auto address = reinterpret_cast<std::uintptr_t>(begin);
    __atomic_store_n(&ranges[place].end, address + bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&ranges[place].begin, address, __ATOMIC_RELEASE);
    return note_used(place + 1);
  }
}

void disown_memory(const void* begin) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t count = own_range_count();
  for (std::size_t place = 0; place < count; ++place) {
    if (__atomic_load_n(&ranges[place].begin, __ATOMIC_ACQUIRE) != address) continue;
    __atomic_store_n(&ranges[place].begin, 0, __ATOMIC_RELEASE);
    return;
  }
}

std::size_t own_range_count() noexcept { return __atomic_load_n(&used_places, __ATOMIC_ACQUIRE); }

memory_range own_range_at(std::size_t place) noexcept {
  TENURE_DCHECK(place < own_range_limit);
  const std::uintptr_t begin = __atomic_load_n(&ranges[place].begin, __ATOMIC_ACQUIRE);
  if (begin <= taken) return {};
  return {begin, __atomic_load_n(&ranges[place].end, __ATOMIC_RELAXED)};
}

bool is_own_memory(std::uintptr_t address) noexcept {
  for (std::size_t place = 0; place < own_range_count(); ++place) {
    const memory_range range = own_range_at(place);
    if (address >= range.begin && address < range.end) return true;
  }
  return false;
}

}  // namespace tenure::os
