// What a depot of slots gives back: pages with none but free slots on them, and how those come into use again.
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include <tenure/detail/slot_depot.hpp>

#include "core/base/bits.h"
#include "library/resource/checks.h"

namespace tenure::detail {
namespace {

// Fewer are not worth the system call, nor a list of ranges.
#ifdef TENURE_SYSTEMATIC
constexpr std::size_t least_pages = 1;
#else
constexpr std::size_t least_pages = 8;
#endif

}  // namespace

void slot_depot::append_chain(slot_header*& to, slot_header* chain) noexcept {
  if (chain == nullptr) return;
  slot_header* last = chain;
  while (last->next != nullptr) last = last->next;
  last->next = std::exchange(to, chain);
}

// What is free in the depot and in this thread's magazines, as one chain: it is this thread's from now on.
slot_header* slot_depot::collect_free() noexcept {
  slot_header* all = nullptr;
  if (magazine* const mine = find_mine(); mine != nullptr) {
    append_chain(all, std::exchange(mine->ready, nullptr));
    append_chain(all, std::exchange(mine->returned, nullptr));
    mine->full_at = mine->given + magazine_slots;
  }
  {
    const std::lock_guard held(lock_);
    append_chain(all, std::exchange(shared_.ready, nullptr));
  }
  while (slot_header* const one = pop_magazine()) append_chain(all, one);
  return all;
}

void slot_depot::distribute(slot_header* chain) noexcept {
  while (chain != nullptr) {
    slot_header* const first = chain;
    slot_header* last = chain;
    for (std::uint32_t i = 1; i < magazine_slots && last->next != nullptr; ++i) last = last->next;
    chain = std::exchange(last->next, nullptr);
    push_magazine(first);
  }
}

slot_depot::closed_range slot_depot::range_of(std::uint32_t begin, std::uint32_t end) const noexcept {
  const std::uintptr_t page = resources::os_page_bytes();
  const auto from = reinterpret_cast<std::uintptr_t>(place_of(begin));
  const std::uintptr_t to = reinterpret_cast<std::uintptr_t>(place_of(end - 1)) + slot_bytes_;
  const std::uintptr_t pages_begin = core::align_up(from, page);
  return {begin, end, 0, pages_begin, std::max(pages_begin, to / page * page)};
}

// Free slots of one segment, one behind the other. False where the system keeps the pages.
bool slot_depot::close(closed_range range, void (*end_object)(void* object) noexcept) noexcept {
  for (std::uint32_t i = range.begin; i < range.end; ++i) {
    slot_header* const one = place_of(i);
    range.generation = std::max(range.generation, one->generation.load(std::memory_order_relaxed));
    if (has_checks_) {
      find_late_write(one);
      forget_filling(one);
    }
    if (std::exchange(one->is_constructed, false)) end_object(object_of(one));
  }
  const std::lock_guard held(lock_);
  if (closed_.size() == closed_.capacity()) return false;  // somebody else trims
  if (::madvise(reinterpret_cast<void*>(range.pages_begin), range.bytes(), MADV_DONTNEED) != 0) return false;
  closed_.push_back(range);
  return true;
}

// Of the chain what is closed, and what is left of it; throws std::bad_alloc before anything has been done.
slot_header* slot_depot::close_runs(slot_header* chain, void (*end_object)(void* object) noexcept, std::size_t& freed) {
  const std::uint32_t opened = opened_slots();
  std::vector<bool> is_free(opened, false);
  for (const slot_header* one = chain; one != nullptr; one = one->next) is_free[one->index] = true;
  std::vector<closed_range> runs;
  for (std::uint32_t begin = 0; begin < opened;) {
    const std::uint32_t last = std::min(opened, segment_end(segment_of(begin)));
    std::uint32_t end = begin;
    while (end < last && is_free[end]) ++end;
    if (end == begin) {
      ++begin;
      continue;
    }
    const closed_range run = range_of(begin, end);
    if (run.bytes() >= least_pages * resources::os_page_bytes()) runs.push_back(run);
    begin = end;
  }
  {
    const std::lock_guard held(lock_);
    closed_.reserve(closed_.size() + runs.size());
  }
  slot_header* left = nullptr;
  std::vector<bool>& is_closed = is_free;
  std::fill(is_closed.begin(), is_closed.end(), false);
  // The chain leads through the slots that are about to go.
  std::vector<std::uint32_t> all;
  for (const slot_header* one = chain; one != nullptr; one = one->next) all.push_back(one->index);
  for (const closed_range& run : runs) {
    if (!close(run, end_object)) continue;
    freed += run.bytes();
    std::fill(is_closed.begin() + run.begin, is_closed.begin() + run.end, true);
  }
  for (const std::uint32_t index : all) {
    if (is_closed[index]) continue;
    slot_header* const one = place_of(index);
    one->next = std::exchange(left, one);
  }
  return left;
}

std::size_t slot_depot::trim(void (*end_object)(void* object) noexcept) noexcept {
  slot_header* chain = collect_free();
  std::size_t freed = 0;
  try {
    chain = close_runs(chain, end_object, freed);
  } catch (const std::bad_alloc&) {
    freed = 0;
  }
  distribute(chain);
  if (freed != 0) account_.release(freed, 0);
  return freed;
}

// What stays closed when `wanted` slots are opened.
slot_depot::closed_range slot_depot::rest_of(const closed_range& range, std::uint32_t wanted) const noexcept {
  const std::uint32_t begin = std::min(range.begin + wanted, range.end);
  if (begin == range.end) return {begin, begin, range.generation, range.pages_end, range.pages_end};
  closed_range rest = range_of(begin, range.end);
  rest.generation = range.generation;
  return rest;
}

// Slots of a range that was closed, at most `wanted`, which have been charged. Under the lock.
slot_header* slot_depot::reopen(std::uint32_t wanted) noexcept {
  const closed_range from = closed_.back();
  const closed_range rest = rest_of(from, wanted);
  slot_header* first = nullptr;
  for (std::uint32_t i = rest.begin; i-- != from.begin;) {
    slot_header* const one = place_of(i);
    one->generation.store(from.generation, std::memory_order_relaxed);
    one->next_magazine.store(0, std::memory_order_relaxed);
    one->index = i;
    one->is_constructed = false;
    one->next = std::exchange(first, one);
  }
  if (rest.begin == rest.end) {
    closed_.pop_back();
  } else {
    closed_.back() = rest;
  }
  return first;
}

}  // namespace tenure::detail
