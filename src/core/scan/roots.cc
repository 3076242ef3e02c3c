#include "core/scan/roots.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/machine.h"
#include "core/os/own_memory.h"
#include "core/os/stopped_threads.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

using os::red_zone_bytes;

bool may_hold_roots(const mapping& one) noexcept { return one.is_readable && one.is_writable && !one.is_shared; }

bool has_answered(const os::stopped_thread& one) noexcept { return one.stack_pointer != 0; }

// Of the heap's own thread, which looks at pages and holds none of their blocks.
bool is_own(std::uintptr_t stack_pointer) noexcept { return os::is_own_memory(stack_pointer); }

std::uintptr_t own_pointer() noexcept { return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()); }

// The nearer one to `at` of two ranges that are no roots; what lies before `at` of it is left out.
os::memory_range next_hole(std::uintptr_t at, const os::memory_range& nearest, const os::memory_range& other) noexcept {
  if (other.end <= at || other.begin >= nearest.begin) return nearest;
  return {other.begin > at ? other.begin : at, other.end};
}

}  // namespace

bool root_finder::prepare() noexcept {
  TENURE_CHECK(threads_ == nullptr);
  const std::size_t most_threads = os::stopped_thread_count() + 1;
  const std::size_t thread_bytes = most_threads * sizeof(known_thread);
  const std::size_t root_bytes = map_.count() * sizeof(std::uintptr_t);
  const std::size_t vector_bytes = (map_.count() + most_threads) * sizeof(std::uintptr_t);
  auto* const memory =
      static_cast<std::byte*>(os::map_anywhere(align_up(thread_bytes + root_bytes + vector_bytes, os::page_bytes())));
  if (memory == nullptr) return false;
  threads_ = reinterpret_cast<known_thread*>(memory);
  first_roots_ = reinterpret_cast<std::uintptr_t*>(memory + thread_bytes);
  vectors_ = reinterpret_cast<std::uintptr_t*>(memory + thread_bytes + root_bytes);
  if (own_.is_root) note_thread(own_.thread, own_.frame, own_pointer());
  for (std::size_t i = 0; i < os::stopped_thread_count(); ++i) {
    const os::stopped_thread& one = os::stopped_thread_at(i);
    if (has_answered(one) && !is_own(one.stack_pointer)) note_thread(one.id, one.stack_pointer, one.thread_pointer);
  }
  for (std::size_t i = 0; i < map_.count(); ++i)
    if (may_hold_roots(map_[i])) first_roots_[i] = first_root(map_[i]);
  return true;
}

void root_finder::note_thread(std::uint32_t id, std::uintptr_t stack_pointer, std::uintptr_t thread_pointer) noexcept {
  known_thread& added = threads_[thread_count_++];
  added = {id, stack_pointer, thread_pointer, thread_pointer, thread_pointer};
  find_locals(added);
  note_vector(thread_pointer);
}

bool root_finder::is_readable(std::uintptr_t begin, std::uintptr_t end) const noexcept {
  const mapping* const there = map_.find(begin);
  return begin % sizeof begin == 0 && begin < end && there != nullptr && there->is_readable && end <= there->end;
}

void root_finder::note_vector(std::uintptr_t thread_pointer) noexcept {
  const std::uintptr_t place = os::vector_of_locals(thread_pointer);
  if (is_readable(place, place + sizeof place)) vectors_[vector_count_++] = place;
}

// The blocks of modules that were there when the thread began lie beside its control block; the vector tells where. It
// has its length before it, and from its second entry on two words for each module: a block, and what is to be freed.
void root_finder::find_locals(known_thread& of) const noexcept {
  constexpr std::uintptr_t entry_bytes = 2 * sizeof(std::uintptr_t);
  constexpr std::uintptr_t most_modules = 4096;
  const mapping* const home = map_.find(of.thread_pointer);
  if (home == nullptr) return;
  of.locals_begin = of.thread_pointer - os::control_block_before_bytes;
  of.locals_end = of.thread_pointer + os::control_block_behind_bytes;
  const std::uintptr_t place = os::vector_of_locals(of.thread_pointer);
  const std::uintptr_t vector =
      is_readable(place, place + sizeof place) ? *reinterpret_cast<const std::uintptr_t*>(place) : 0;
  if (vector > entry_bytes && is_readable(vector - entry_bytes, vector)) {
    const auto* const entries = reinterpret_cast<const std::uintptr_t*>(vector);
    const std::uintptr_t count = entries[-2] < most_modules ? entries[-2] : most_modules;
    for (std::uintptr_t i = 1; i <= count && is_readable(vector + i * entry_bytes, vector + (i + 1) * entry_bytes);
         ++i) {
      const std::uintptr_t block = entries[2 * i];
      const bool came_with_the_thread = home->holds(block) && entries[2 * i + 1] == 0;
      if (!came_with_the_thread) continue;
      if (block < of.locals_begin) of.locals_begin = block;
      // How long the last one is, it does not say.
      if (block >= of.locals_end) of.locals_end = block + os::page_bytes();
    }
  }
  // On a stack that the C library made nothing lies behind them.
  const bool is_on_stack = home->holds(of.stack_pointer) && of.stack_pointer < of.thread_pointer;
  if (is_on_stack || of.locals_end > home->end) of.locals_end = home->end;
  if (of.locals_begin < home->begin) of.locals_begin = home->begin;
}

// Where in the mapping roots begin: a stack that is in use, from its pointer on; one that was left behind, behind it.
std::uintptr_t root_finder::first_root(const mapping& one) noexcept {
  // A stack that the C library made ends in a guard; elsewhere, who knows what lies below.
  if (!one.is_behind_guard && !one.is_main_stack) return one.begin;
  std::uintptr_t lowest = one.end;
  for (std::size_t i = 0; i < thread_count_; ++i) {
    const known_thread& thread = threads_[i];
    if (!one.holds(thread.stack_pointer)) continue;
    // One that the C library made has the control block above it.
    const bool is_known =
        one.is_main_stack || (one.holds(thread.thread_pointer) && thread.stack_pointer < thread.thread_pointer);
    if (!is_known || thread.stack_pointer - one.begin < red_zone_bytes) return one.begin;
    // Of what a program maps for the stacks of several threads, the lowest that is in use counts.
    if (thread.stack_pointer - red_zone_bytes < lowest) lowest = thread.stack_pointer - red_zone_bytes;
  }
  if (lowest != one.end) return lowest;
  return one.is_behind_guard && all_stopped_ ? end_of_left_stack(one) : one.begin;
}

// A control block that no thread has: it and what lies below are a stack that the C library keeps for the next.
std::uintptr_t root_finder::end_of_left_stack(const mapping& one) noexcept {
  constexpr std::uintptr_t block_alignment = 64;
  std::uintptr_t found = 0;
  touched_.for_each(one.begin, one.end, [&](std::uintptr_t begin, std::uintptr_t end) {
    for (std::uintptr_t at = align_up(begin, block_alignment); found == 0 && at + block_alignment <= end;
         at += block_alignment) {
      if (os::looks_like_control_block(reinterpret_cast<const std::uintptr_t*>(at)) && !is_of_a_thread(at)) found = at;
    }
  });
  if (found == 0) return one.begin;
  note_vector(found);  // kept for the next thread, as the stack is
  const std::uintptr_t page = os::page_bytes();
  return align_up(found + 1, page) < one.end ? align_up(found + 1, page) : one.end;
}

bool root_finder::is_of_a_thread(std::uintptr_t thread_pointer) const noexcept {
  if (thread_pointer == own_pointer()) return true;
  for (std::size_t i = 0; i < os::stopped_thread_count(); ++i)
    if (os::stopped_thread_at(i).thread_pointer == thread_pointer) return true;
  return false;
}

// What the file has no room for, because it is zero at first, the loader maps behind it.
bool root_finder::is_module_data(std::size_t index) const noexcept {
  const mapping& one = map_[index];
  return one.is_of_file || (index != 0 && map_[index - 1].is_of_file && map_[index - 1].end == one.begin);
}

void root_finder::for_each_vector(place_visitor visit, void* context) const noexcept {
  for (std::size_t i = 0; i < vector_count_; ++i) visit(context, vectors_[i]);
}

void root_finder::for_each_range(range_visitor visit, void* context) noexcept {
  constexpr turn order[] = {turn::module_data, turn::memory, turn::thread_locals, turn::stacks};
  for (const turn now : order) tell_mappings(now, visit, context);
  for (std::size_t i = 0; i < os::stopped_thread_count(); ++i) {
    const os::stopped_thread& one = os::stopped_thread_at(i);
    if (!has_answered(one) || is_own(one.stack_pointer)) continue;
    visit(context, {one.saved_begin, one.saved_end, static_cast<std::uint32_t>(wire::root_kind::registers), one.id,
                    one.stack_pointer});
  }
}

struct root_finder::gap_visit {
  const root_finder* finder;
  turn now;
  range_visitor visit;
  void* context;
};

void root_finder::tell_mappings(turn now, range_visitor visit, void* context) noexcept {
  const std::uintptr_t window_end = page_address(window.mapped_pages);
  for (std::size_t i = 0; i < map_.count(); ++i) {
    const mapping& one = map_[i];
    if (!may_hold_roots(one)) continue;
    const std::uintptr_t begin = first_roots_[i];
    tell_range(i, now, begin, one.end < window.begin ? one.end : window.begin, visit, context);
    tell_range(i, now, begin > window_end ? begin : window_end, one.end, visit, context);
  }
  gap_visit gaps{this, now, visit, context};
  visit_window_gaps(tell_gap, &gaps);
}

// Where the heap could not grow, because the program had mapped something there.
void root_finder::tell_gap(void* told, std::uintptr_t begin, std::uintptr_t end) noexcept {
  const auto* const to = static_cast<const gap_visit*>(told);
  const memory_map& map = to->finder->map_;
  for (std::size_t i = map.first_above(begin); i < map.count() && map[i].begin < end; ++i) {
    if (!may_hold_roots(map[i])) continue;
    const std::uintptr_t first = to->finder->first_roots_[i];
    to->finder->tell_range(i, to->now, first > begin ? first : begin, map[i].end < end ? map[i].end : end, to->visit,
                           to->context);
  }
}

void root_finder::tell_range(std::size_t index, turn now, std::uintptr_t at, std::uintptr_t end, range_visitor visit,
                             void* context) const noexcept {
  while (at < end) {
    os::memory_range hole{end, end};
    for (std::size_t i = 0; i < os::own_range_count(); ++i) hole = next_hole(at, hole, os::own_range_at(i));
    tell_pieces(index, now, at, hole.begin, visit, context);
    at = hole.end;
  }
}

void root_finder::tell_pieces(std::size_t index, turn now, std::uintptr_t at, std::uintptr_t end, range_visitor visit,
                              void* context) const noexcept {
  while (at < end) {
    const wire::root_range piece = piece_at(map_[index], at, end);
    TENURE_DCHECK(piece.end > at && piece.end <= end);
    const auto kind = static_cast<wire::root_kind>(piece.kind);
    const turn due = kind == wire::root_kind::stack            ? turn::stacks
                     : kind == wire::root_kind::thread_storage ? turn::thread_locals
                     : is_module_data(index)                   ? turn::module_data
                                                               : turn::memory;
    if (due == now) visit(context, piece);
    at = piece.end;
  }
}

wire::root_range root_finder::piece_at(const mapping& one, std::uintptr_t at, std::uintptr_t end) const noexcept {
  wire::root_range piece{at, end, static_cast<std::uint32_t>(wire::root_kind::memory), 0, 0};
  std::uintptr_t nearest = 0;  // stack at or below `at`
  for (std::size_t i = 0; i < thread_count_; ++i) {
    const known_thread& thread = threads_[i];
    if (at >= thread.locals_begin && at < thread.locals_end)
      return {at, thread.locals_end < end ? thread.locals_end : end,
              static_cast<std::uint32_t>(wire::root_kind::thread_storage), thread.id, thread.thread_pointer};
    if (thread.locals_begin > at && thread.locals_begin < piece.end) piece.end = thread.locals_begin;
    if (!one.holds(thread.stack_pointer)) continue;
    const std::uintptr_t begin =
        thread.stack_pointer - one.begin < red_zone_bytes ? one.begin : thread.stack_pointer - red_zone_bytes;
    if (begin > at) {
      if (begin < piece.end) piece.end = begin;
    } else if (begin >= nearest) {
      nearest = begin;
      piece.kind = static_cast<std::uint32_t>(wire::root_kind::stack);
      piece.thread = thread.id;
      piece.base = thread.stack_pointer;
    }
  }
  return piece;
}

}  // namespace tenure::core
