#include "core/heap/walk.h"

#include <sched.h>
#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "core/heap/central_list.h"
#include "core/heap/sampled.h"
#include "core/heap/span_blocks.h"
#include "core/heap/thread_cache.h"
#include "core/os/barrier.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"
#include "core/telemetry/tally.h"

namespace tenure::core {
namespace {

constexpr std::size_t list_capacity = 1024;
constexpr int most_rounds = 100000;

struct block_array {
  free_block* blocks[list_capacity];
  std::size_t count = 0;
};

bool is_block_of(const free_block* block, std::size_t size_class) noexcept {
  return is_mapped(block) && window.class_map[page_index(block)] == size_class &&
         reinterpret_cast<std::uintptr_t>(block) % class_bytes[size_class] == 0;
}

// The block may have been popped a moment ago, and this be the program's data, which it writes as it likes: what comes
// back is looked at with suspicion, and forgotten when the head has moved. No order between the two could be had, so
// ThreadSanitizer is not asked to look for one.
__attribute__((noinline, no_sanitize("thread"))) std::uintptr_t read_link(const free_block* block) noexcept {
  return __atomic_load_n(&block->link, __ATOMIC_ACQUIRE);
}

// Follows a list from an encoded head. False when it runs into something that is no block, or is too long.
bool follow(std::uintptr_t head, std::size_t size_class, block_array* list) noexcept {
  list->count = 0;
  std::uintptr_t link = head;
  while (link != empty_link) {
    free_block* block = decode_link(link);
    if (list->count == list_capacity || !is_block_of(block, size_class)) return false;
    list->blocks[list->count++] = block;
    TENURE_YIELD_POINT();
    link = read_link(block);
  }
  return true;
}

// One list of a cache as it is now, and its head, to be looked at again. *unread counts a list that does not end.
void read_list(const std::uintptr_t& head, std::uintptr_t* seen, std::size_t size_class, block_visitor visit,
               void* context, std::uint64_t* unread) noexcept {
  static block_array list;  // under the heap's locks
  *seen = __atomic_load_n(&head, __ATOMIC_ACQUIRE);
  if (!follow(*seen, size_class, &list)) {
    ++*unread;
    return;
  }
  for (std::size_t i = 0; i < list.count; ++i) visit(context, list.blocks[i]);
}

void read_caches(std::size_t size_class, block_visitor visit, void* context, std::uint64_t* unread) noexcept {
  for (thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record->cache == nullptr) continue;
    class_state& state = record->classes[size_class];
    state.seen_room = __atomic_load_n(&record->cache->room[size_class], __ATOMIC_ACQUIRE);
    read_list(record->cache->list[size_class], &state.seen_list, size_class, visit, context, unread);
    if (size_class <= last_paired_class) {
      read_list(record->cache->front[size_class], &state.seen_front, size_class, visit, context, unread);
    }
    for (free_block* block = state.spare.first; block != nullptr; block = next_of(block)) visit(context, block);
  }
}

// Whether no list of these classes has moved since it was read: head first, then room, the order in which a push is
// seen.
bool heads_stand(std::size_t first_class, std::size_t end_class) noexcept {
  os::process_barrier();
  for (const thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record->cache == nullptr) continue;
    TENURE_YIELD_POINT();
    TENURE_DCHECK(first_class != 0 && end_class <= class_count);
    for (std::size_t i = first_class; i < end_class; ++i) {
      const class_state& state = record->classes[i];
      if (__atomic_load_n(&record->cache->list[i], __ATOMIC_ACQUIRE) != state.seen_list) return false;
      if (__atomic_load_n(&record->cache->room[i], __ATOMIC_ACQUIRE) != state.seen_room) return false;
      if (i > last_paired_class) continue;
      if (__atomic_load_n(&record->cache->front[i], __ATOMIC_ACQUIRE) != state.seen_front) return false;
    }
  }
  return true;
}

// Tells every block in the caches' lists of these classes, after restart(), over and over until nothing has moved from
// the first read to the last: what was told then was so at one moment. The count of lists that could not be read.
template <class Restart>
std::uint64_t read_settled_caches(std::size_t first_class, std::size_t end_class, Restart restart, block_visitor visit,
                                  void* context) noexcept {
  std::uint64_t unread = 0;
  for (int round = 0; round < most_rounds; ++round) {
    unread = 0;
    restart();
    for (std::size_t i = first_class; i < end_class; ++i) read_caches(i, visit, context, &unread);
    if (heads_stand(first_class, end_class)) return unread;
    ::sched_yield();
  }
  return unread + 1;
}

struct search {
  const free_block* wanted;
  bool found;
};

void note_if_wanted(void* context, free_block* block) noexcept {
  auto* looking = static_cast<search*>(context);
  looking->found = looking->found || block == looking->wanted;
}

void count_by_class(void* context, free_block* block) noexcept {
  auto* figures = static_cast<heap_figures*>(context);
  ++figures->classes[window.class_map[page_index(block)]].cached_blocks;
}

std::uint64_t span_bytes(const span* of) noexcept { return std::uint64_t{of->page_count} << page_shift; }

void add_span_figures(void* context, span* of) noexcept {
  auto* figures = static_cast<heap_figures*>(context);
  if (of->kind == span_kind::large) {
    figures->large_bytes += span_bytes(of);
    ++figures->large_blocks;
    return;
  }
  if (of->kind != span_kind::small) {
    // What of it is live is known from the heap's counts (add_named_figures).
    (of->owner == &sampled_heap() ? figures->fragmented_bytes : figures->named_span_bytes) += span_bytes(of);
    return;
  }
  class_figures& of_class = figures->classes[of->size_class];
  ++of_class.spans;
  of_class.span_bytes += span_bytes(of);
  TENURE_CHECK(of->free_count <= of->block_count);
  of_class.span_free_blocks += of->free_count;
  of_class.live_blocks += of->block_count - of->free_count;  // less what caches and batches hold, below
}

void add_class_figures(heap_figures* figures, std::size_t size_class) noexcept {
  class_figures& of_class = figures->classes[size_class];
  const std::uint64_t size = class_bytes[size_class];
  of_class.block_bytes = size;
  of_class.batch_blocks = central_lists[size_class].batch_blocks();
  // Of lists that could not be read fewer blocks are known; never more than there are.
  TENURE_CHECK(of_class.live_blocks >= of_class.cached_blocks + of_class.batch_blocks);
  of_class.live_blocks -= of_class.cached_blocks + of_class.batch_blocks;
  figures->live_blocks += of_class.live_blocks;
  figures->live_bytes += of_class.live_blocks * size;
  figures->cached_bytes += of_class.cached_blocks * size;
  figures->batch_bytes += of_class.batch_blocks * size;
  figures->fragmented_bytes +=
      of_class.span_bytes - (of_class.live_blocks + of_class.cached_blocks + of_class.batch_blocks) * size;
}

void add_named_figures(heap_figures* figures) noexcept {
  for (named_heap* heap = named_heap::first(); heap != nullptr; heap = heap->next()) {
    figures->named_live_bytes += heap->counts_held().live_bytes;
    figures->named_live_blocks += heap->counts_held().live_blocks;
  }
  const named_heap_statistics& sampled = sampled_heap().counts_held();
  figures->live_bytes += sampled.live_bytes + figures->large_bytes;
  figures->live_blocks += sampled.live_blocks + figures->large_blocks;
  figures->fragmented_bytes -= sampled.live_bytes;
}

}  // namespace

void lock_heap() noexcept {
  hot.busy = true;
  asm volatile("" ::: "memory");
  lock_threads();
  const thread_record* own = hot.record;
  for (thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record != own) record->lock.want();
  }
  os::process_barrier();
  for (thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record != own) record->lock.wait();
  }
  for (std::size_t i = 1; i < class_count; ++i) central_lists[i].lock();
  lock_named_heaps();
  for (named_heap* heap = named_heap::first(); heap != nullptr; heap = heap->next()) heap->lock();
  sampled_heap().lock();
  lock_page_heap();
}

void release_heap_locks() noexcept {
  TENURE_DCHECK(hot.busy);
  unlock_page_heap();
  sampled_heap().unlock();
  for (named_heap* heap = named_heap::first(); heap != nullptr; heap = heap->next()) heap->unlock();
  unlock_named_heaps();
  for (std::size_t i = class_count; --i != 0;) central_lists[i].unlock();
  const thread_record* own = hot.record;
  for (thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record != own) record->lock.release();
  }
  unlock_threads();
}

void leave_heap() noexcept {
  asm volatile("" ::: "memory");
  hot.busy = false;
  if (unlikely(hot.deferred != nullptr || hot.pages_due)) catch_up(hot);
}

void unlock_heap() noexcept {
  release_heap_locks();
  leave_heap();
}

bool is_free_block(const free_block* block, std::size_t size_class) noexcept {
  lock_heap();
  const span* home = find_span(block);
  // The class was looked up without a lock: a span that is gone since, or serves something else, had no block in use.
  const bool is_gone = home == nullptr || home->kind != span_kind::small || home->size_class != size_class;
  search looking{block, is_gone || is_free(home, index_of(home, block))};
  if (!looking.found) {
    const auto restart = [&looking]() noexcept { looking.found = false; };
    read_settled_caches(size_class, size_class + 1, restart, note_if_wanted, &looking);
    central_lists[size_class].visit_batches(note_if_wanted, &looking);
  }
  unlock_heap();
  return looking.found;
}

void read_figures(heap_figures* figures) noexcept {
  *figures = heap_figures{};
  lock_heap();
  visit_spans(add_span_figures, figures);
  const auto restart = [figures]() noexcept {
    for (class_figures& of_class : figures->classes) of_class.cached_blocks = 0;
  };
  figures->unread_lists = read_settled_caches(1, class_count, restart, count_by_class, figures);
  for (std::size_t i = 1; i < class_count; ++i) add_class_figures(figures, i);
  add_named_figures(figures);
  const wire::heap_statistics& totals = telemetry::statistics();
  figures->chunk_bytes = totals.chunk_bytes;
  figures->free_dirty_bytes = totals.free_dirty_bytes;
  figures->free_clean_bytes = totals.free_clean_bytes;
  figures->committed_bytes = totals.chunk_bytes - totals.free_clean_bytes;
  figures->metadata_bytes = totals.metadata_bytes;
  figures->thread_caches = totals.thread_cache_count;
  unlock_heap();
}

void check_heap() noexcept {
  telemetry::check_tallies();
  lock_heap();
  for (std::size_t i = 1; i < class_count; ++i) central_lists[i].check(i);
  check_page_heap();
  unlock_heap();
}

// --- the walk over live blocks
// ----------------------------------------------------------------------------------------

namespace {

struct span_snapshot {
  std::uintptr_t first;
  std::uint64_t* free_marks;
  std::uint32_t block_bytes_or_zero;  // 0: one large block of `bytes`
  std::uint32_t block_count;
  std::uint64_t bytes;
  const char* heap_name;
};

struct walk_state {
  std::size_t span_count = 0;
  std::size_t mark_words = 0;
  span_snapshot* snapshots = nullptr;
  std::uint64_t* marks = nullptr;
  std::size_t taken = 0;
  std::size_t words_taken = 0;
  std::uint64_t unread = 0;
};

std::size_t words_for(const span* of) noexcept {
  const bool blocks = of->kind == span_kind::small || of->kind == span_kind::named_small;
  return blocks ? (of->block_count + 63) / 64 : 0;
}

void measure_span(void* context, span* of) noexcept {
  auto* state = static_cast<walk_state*>(context);
  ++state->span_count;
  state->mark_words += words_for(of);
}

const char* heap_name_of(const span* of) noexcept {
  if (of->owner == nullptr || of->owner == &sampled_heap()) return nullptr;
  return static_cast<const named_heap*>(of->owner)->name();
}

}  // namespace

span_layout layout_of(const span* of) noexcept {
  if (of->kind == span_kind::large || of->kind == span_kind::named_large)
    return {page_address(of->first_page), span_bytes(of), 1};
  // Emptied and on its way back to the page heap: all its blocks are free, and nothing else is known of them.
  return {of->first_block, class_bytes[of->size_class], of->free_count == of->block_count ? 0 : of->block_count};
}

std::uint64_t visit_cached_blocks(block_visitor visit_cached, block_visitor visit_batched, void* context) noexcept {
  const std::uint64_t unread = read_settled_caches(
      1, class_count, []() noexcept {}, visit_cached, context);
  for (std::size_t i = 1; i < class_count; ++i) central_lists[i].visit_batches(visit_batched, context);
  return unread;
}

namespace {

void snapshot_span(void* context, span* of) noexcept {
  auto* state = static_cast<walk_state*>(context);
  TENURE_CHECK(state->taken < state->span_count);
  span_snapshot& shot = state->snapshots[state->taken++];
  shot.heap_name = heap_name_of(of);
  const span_layout layout = layout_of(of);
  shot.first = layout.first;
  shot.bytes = span_bytes(of);
  shot.block_bytes_or_zero = 0;
  if (of->kind == span_kind::large || of->kind == span_kind::named_large) return;
  shot.block_bytes_or_zero = static_cast<std::uint32_t>(layout.block_bytes);
  shot.block_count = layout.count;
  shot.free_marks = state->marks + state->words_taken;
  state->words_taken += words_for(of);
  TENURE_CHECK(state->words_taken <= state->mark_words);
  of->scratch = shot.free_marks;
  for (std::size_t i = 0; i < words_for(of); ++i) shot.free_marks[i] |= of->free_bits[i];
}

void mark_free(void*, free_block* block) noexcept {
  span* home = find_span(block);
  TENURE_CHECK(home != nullptr && home->scratch != nullptr);
  const std::uint32_t index = index_of(home, block);
  TENURE_CHECK(index < home->block_count);
  home->scratch[index / 64] |= 1ull << (index % 64);
}

bool take_snapshot(walk_state* state, void** memory, std::size_t* memory_bytes) noexcept {
  lock_heap();
  visit_spans(measure_span, state);
  *memory_bytes = align_up(state->span_count * sizeof(span_snapshot) + state->mark_words * 8 + 1, os::page_bytes());
  *memory = os::map_anywhere(*memory_bytes);
  if (*memory != nullptr) {
    state->snapshots = static_cast<span_snapshot*>(*memory);
    state->marks = reinterpret_cast<std::uint64_t*>(state->snapshots + state->span_count);
    const auto restart = [state]() noexcept {
      state->taken = state->words_taken = 0;
      std::memset(state->marks, 0, state->mark_words * sizeof *state->marks);
      visit_spans(snapshot_span, state);
    };
    state->unread = read_settled_caches(1, class_count, restart, mark_free, nullptr);
    for (std::size_t i = 1; i < class_count; ++i) central_lists[i].visit_batches(mark_free, nullptr);
  }
  unlock_heap();
  return *memory != nullptr;
}

}  // namespace

bool walk_live_blocks(bool (*visit)(void* context, const live_block& block), void* context,
                      walk_totals* totals) noexcept {
  walk_state state;
  void* memory = nullptr;
  std::size_t memory_bytes = 0;
  *totals = walk_totals{};
  if (!take_snapshot(&state, &memory, &memory_bytes)) return false;
  totals->unread_lists = state.unread;
  bool going = true;
  for (std::size_t s = 0; s < state.taken && going; ++s) {
    const span_snapshot& shot = state.snapshots[s];
    const bool large = shot.block_bytes_or_zero == 0;
    const std::uint32_t count = large ? 1 : shot.block_count;
    for (std::uint32_t i = 0; i < count && going; ++i) {
      if (!large && (shot.free_marks[i / 64] >> (i % 64) & 1) != 0) continue;
      const std::size_t bytes = large ? shot.bytes : shot.block_bytes_or_zero;
      const live_block block{reinterpret_cast<const void*>(shot.first + std::uintptr_t{i} * bytes), bytes,
                             shot.heap_name};
      ++totals->blocks;
      totals->bytes += bytes;
      going = visit(context, block);
    }
  }
  os::unmap(memory, memory_bytes);
  return true;
}

}  // namespace tenure::core
