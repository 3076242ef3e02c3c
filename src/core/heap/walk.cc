#include "core/heap/walk.h"

#include <sched.h>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/central_list.h"
#include "core/heap/sampled.h"
#include "core/heap/thread_cache.h"
#include "core/os/barrier.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

constexpr std::size_t list_capacity = 1024;
constexpr int read_attempts = 100000;

struct block_array {
  free_block* blocks[list_capacity];
  std::size_t count = 0;
};

bool is_block_of(const free_block* block, std::size_t size_class) noexcept {
  return is_mapped(block) && window.class_map[page_index(block)] == size_class &&
         reinterpret_cast<std::uintptr_t>(block) % class_bytes[size_class] == 0;
}

// Follows a list from an encoded head. False when it runs into something that is no block, or is too long.
bool follow(std::uintptr_t head, std::size_t size_class, block_array* list) noexcept {
  list->count = 0;
  std::uintptr_t link = head;
  while (link != empty_link) {
    free_block* block = decode_link(link);
    if (list->count == list_capacity || !is_block_of(block, size_class)) return false;
    list->blocks[list->count++] = block;
    link = __atomic_load_n(&block->link, __ATOMIC_ACQUIRE);
  }
  return true;
}

bool read_alloc(const hot_cache& cache, std::size_t size_class, block_array* list) noexcept {
  const bool own = &cache == &hot;
  for (int attempt = 0; attempt < read_attempts; ++attempt) {
    const std::uintptr_t head = __atomic_load_n(&cache.alloc[size_class], __ATOMIC_ACQUIRE);
    const bool complete = follow(head, size_class, list);
    if (!own) os::process_barrier();
    if (__atomic_load_n(&cache.alloc[size_class], __ATOMIC_ACQUIRE) == head) return complete;
    ::sched_yield();
  }
  return false;
}

bool read_freed(const hot_cache& cache, std::size_t size_class, block_array* list) noexcept {
  return follow(__atomic_load_n(&cache.freed[size_class], __ATOMIC_ACQUIRE), size_class, list);
}

using block_visitor = bool (*)(void* context, free_block* block);

// Every block in the cache's lists of the class; the count of lists that could not be read is added to *unread.
bool visit_cache(const thread_record& record, std::size_t size_class, block_visitor visit, void* context,
                 std::uint64_t* unread) noexcept {
  static block_array list;  // under the heap's locks
  const hot_cache& cache = *record.cache;
  for (int which = 0; which < 2; ++which) {
    const bool freed = which == 1;
    const bool complete = freed ? read_freed(cache, size_class, &list) : read_alloc(cache, size_class, &list);
    if (!complete) {
      ++*unread;
      continue;
    }
    for (std::size_t i = 0; i < list.count; ++i) {
      if (!visit(context, list.blocks[i])) return false;
    }
  }
  for (free_block* block = record.classes[size_class].aside; block != nullptr; block = next_of(block)) {
    if (!visit(context, block)) return false;
  }
  return true;
}

bool visit_free_of_class(std::size_t size_class, block_visitor visit, void* context, std::uint64_t* unread) noexcept {
  for (const thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record->cache != nullptr && !visit_cache(*record, size_class, visit, context, unread)) return false;
  }
  return central_lists[size_class].visit_free(visit, context);
}

bool differs(void* context, free_block* block) noexcept { return block != context; }

bool count_block(void* context, free_block*) noexcept {
  ++*static_cast<std::uint64_t*>(context);
  return true;
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
    if (of->owner != &sampled_heap()) figures->named_span_bytes += span_bytes(of);
    return;
  }
  class_figures& of_class = figures->classes[of->size_class];
  ++of_class.spans;
  of_class.span_bytes += span_bytes(of);
  of_class.span_free_blocks += of->free_count;
  of_class.live_blocks += of->block_count - of->free_count;  // less what caches and batches hold, below
}

void add_class_figures(heap_figures* figures, std::size_t size_class) noexcept {
  class_figures& of_class = figures->classes[size_class];
  const std::uint64_t size = class_bytes[size_class];
  of_class.block_bytes = size;
  for (const thread_record* record = first_record(); record != nullptr; record = record->next) {
    if (record->cache == nullptr) continue;
    visit_cache(*record, size_class, count_block, &of_class.cached_blocks, &figures->unread_lists);
  }
  of_class.batch_blocks = central_lists[size_class].batch_blocks();
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
  figures->fragmented_bytes += sampled.span_bytes - sampled.live_bytes;
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

void unlock_heap() noexcept {
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
  asm volatile("" ::: "memory");
  hot.busy = false;
}

bool is_free_block(const free_block* block, std::size_t size_class) noexcept {
  std::uint64_t unread = 0;
  lock_heap();
  const span* home = find_span(block);
  const bool uncarved = home != nullptr && reinterpret_cast<std::uintptr_t>(block) >= home->carve_next;
  const bool found = uncarved || !visit_free_of_class(size_class, differs, const_cast<free_block*>(block), &unread);
  unlock_heap();
  return found;
}

void read_figures(heap_figures* figures) noexcept {
  *figures = heap_figures{};
  lock_heap();
  visit_spans(add_span_figures, figures);
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

void snapshot_span(void* context, span* of) noexcept {
  auto* state = static_cast<walk_state*>(context);
  span_snapshot& shot = state->snapshots[state->taken++];
  shot.heap_name = heap_name_of(of);
  const std::uintptr_t begin = page_address(of->first_page);
  shot.first = begin;
  shot.bytes = span_bytes(of);
  shot.block_bytes_or_zero = 0;
  if (of->kind == span_kind::large || of->kind == span_kind::named_large) return;
  const std::uint64_t size = class_bytes[of->size_class];
  shot.block_bytes_or_zero = static_cast<std::uint32_t>(size);
  shot.first = (begin + size - 1) / size * size;
  // Emptied and on its way back to the page heap: no list leads to its blocks any more.
  shot.block_count = of->free_count == of->block_count ? 0 : of->block_count;
  shot.free_marks = state->marks + state->words_taken;
  state->words_taken += words_for(of);
  of->scratch = shot.free_marks;
  const std::uint64_t carved = (of->carve_next - shot.first) / size;
  for (std::uint64_t i = carved; i < of->block_count; ++i) shot.free_marks[i / 64] |= 1ull << (i % 64);
}

bool mark_free(void*, free_block* block) noexcept {
  span* home = find_span(block);
  TENURE_CHECK(home != nullptr && home->scratch != nullptr);
  const std::uint64_t size = class_bytes[home->size_class];
  const std::uintptr_t first = (page_address(home->first_page) + size - 1) / size * size;
  const std::uint64_t index = (reinterpret_cast<std::uintptr_t>(block) - first) / size;
  TENURE_CHECK(index < home->block_count);
  home->scratch[index / 64] |= 1ull << (index % 64);
  return true;
}

bool take_snapshot(walk_state* state, void** memory, std::size_t* memory_bytes) noexcept {
  lock_heap();
  visit_spans(measure_span, state);
  *memory_bytes = align_up(state->span_count * sizeof(span_snapshot) + state->mark_words * 8 + 1, os::page_bytes());
  *memory = os::map_anywhere(*memory_bytes);
  if (*memory != nullptr) {
    state->snapshots = static_cast<span_snapshot*>(*memory);
    state->marks = reinterpret_cast<std::uint64_t*>(state->snapshots + state->span_count);
    visit_spans(snapshot_span, state);
    for (std::size_t i = 1; i < class_count; ++i) visit_free_of_class(i, mark_free, nullptr, &state->unread);
    for (named_heap* heap = named_heap::first(); heap != nullptr; heap = heap->next()) {
      heap->visit_free(mark_free, nullptr);
    }
    sampled_heap().visit_free(mark_free, nullptr);
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
