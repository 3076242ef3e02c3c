// The C interface, include/tenure/tenure.h.
#include <cerrno>
#include <cstring>

#include <tenure/tenure.h>

#include "core/base/bits.h"
#include "core/base/options.h"
#include "core/heap/heap.h"
#include "core/heap/misuse.h"
#include "core/heap/named_heap.h"
#include "core/heap/walk.h"
#include "core/interface/export.h"
#include "core/interface/figures.h"
#include "core/interface/live_core.h"
#include "core/interface/report.h"
#include "core/os/virtual_memory.h"
#include "core/scan/stacks.h"

using namespace tenure::core;

namespace {

static_assert(sizeof(tenure_class_statistics) == sizeof(class_figures));

named_heap* of(tenure_heap* heap) noexcept { return reinterpret_cast<named_heap*>(heap); }

struct walk_adapter {
  tenure_walk_visitor visit;
  void* context;
};

bool adapt_walk(void* context, const live_block& block) noexcept {
  auto* adapter = static_cast<walk_adapter*>(context);
  return adapter->visit(adapter->context, block.address, block.bytes, block.heap_name) != 0;
}

struct stack_adapter {
  tenure_stack_visitor visit;
  void* context;
};

bool adapt_stack(void* context, std::uintptr_t begin, std::uintptr_t end, std::uint32_t thread) noexcept {
  const auto* const adapter = static_cast<const stack_adapter*>(context);
  return adapter->visit(adapter->context, reinterpret_cast<const void*>(begin), end - begin, thread) != 0;
}

void fill(const heap_figures& figures, tenure_statistics* to) noexcept {
  to->live_bytes = figures.live_bytes;
  to->live_blocks = figures.live_blocks;
  to->cached_bytes = figures.cached_bytes;
  to->batch_bytes = figures.batch_bytes;
  to->fragmented_bytes = figures.fragmented_bytes;
  to->committed_bytes = figures.committed_bytes;
  to->free_dirty_bytes = figures.free_dirty_bytes;
  to->free_clean_bytes = figures.free_clean_bytes;
  to->mapped_bytes = figures.chunk_bytes;
  to->metadata_bytes = figures.metadata_bytes;
  to->large_bytes = figures.large_bytes;
  to->large_blocks = figures.large_blocks;
  to->named_span_bytes = figures.named_span_bytes;
  to->named_live_bytes = figures.named_live_bytes;
  to->named_live_blocks = figures.named_live_blocks;
  to->thread_caches = figures.thread_caches;
  to->unread_lists = figures.unread_lists;
  std::memcpy(to->classes, figures.classes, sizeof figures.classes);
}

std::size_t finish_text(char* buffer, std::size_t capacity, const text_writer& text) noexcept {
  if (capacity != 0) buffer[text.size_bytes()] = '\0';
  return text.needed_bytes();
}

}  // namespace

TENURE_EXPORT int tenure_is_active() { return serves_malloc() ? 1 : 0; }
TENURE_EXPORT const char* tenure_version() { return TENURE_VERSION_TEXT; }

namespace tenure::core {
const char core_identity = 0;
}
// Here and not where it is called, so that no compiler answers for the loader.
TENURE_EXPORT const void* tenure_core_identity() { return &core_identity; }

TENURE_EXPORT int tenure_option_get(const char* name, std::int64_t* result) {
  const option which = find_option(name);
  if (which == option::none) return 0;
  *result = value(which);
  return 1;
}

TENURE_EXPORT int tenure_option_set(const char* name, std::int64_t new_value) {
  const option which = find_option(name);
  if (which == option::none || !set_value(which, new_value)) return 0;
  if (which == option::sample_interval) {
    tenure::telemetry::set_sample_interval_bytes(static_cast<std::uint64_t>(new_value));
  }
  return 1;
}

TENURE_EXPORT std::size_t tenure_block_size(const void* block) { return usable_bytes(block); }

TENURE_EXPORT void* tenure_block_start(const void* interior, std::size_t* size) {
  std::size_t bytes = 0;
  const void* start = block_start(interior, &bytes);
  if (size != nullptr) *size = bytes;
  return const_cast<void*>(start);
}

TENURE_EXPORT int tenure_statistics_get(tenure_statistics* statistics) {
  if (statistics->struct_size < sizeof(tenure_statistics)) return 0;
  const current_figures now;
  fill(*now, statistics);
  return 1;
}

TENURE_EXPORT std::size_t tenure_statistics_text(char* buffer, std::size_t capacity) {
  text_writer text(buffer, capacity == 0 ? 0 : capacity - 1);
  add_statistics_text(text);
  return finish_text(buffer, capacity, text);
}

TENURE_EXPORT std::size_t tenure_statistics_json(char* buffer, std::size_t capacity) {
  text_writer text(buffer, capacity == 0 ? 0 : capacity - 1);
  add_statistics_json(text);
  return finish_text(buffer, capacity, text);
}

TENURE_EXPORT int tenure_walk(tenure_walk_visitor visit, void* context, tenure_walk_result* result) {
  walk_adapter adapter{visit, context};
  walk_totals totals{};
  if (!walk_live_blocks(adapt_walk, &adapter, &totals)) return 0;
  if (result != nullptr) *result = {totals.blocks, totals.bytes, totals.unread_lists};
  return 1;
}

TENURE_EXPORT int tenure_walk_stacks(tenure_stack_visitor visit, void* context) {
  stack_adapter adapter{visit, context};
  return visit_other_stacks(adapt_stack, &adapter) ? 1 : 0;
}

TENURE_EXPORT std::size_t tenure_purge() { return purge(); }

TENURE_EXPORT void tenure_check() { check_heap(); }

TENURE_EXPORT tenure_heap* tenure_heap_create(const char* name) {
  named_heap* heap = create_named_heap(name == nullptr ? "" : name);
  if (heap == nullptr) errno = ENOMEM;
  return reinterpret_cast<tenure_heap*>(heap);
}

TENURE_EXPORT void* tenure_heap_allocate(tenure_heap* heap, std::size_t bytes, std::size_t alignment) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  void* block = of(heap)->allocate(bytes, alignment, tenure::telemetry::own_caller());
  if (block == nullptr) errno = ENOMEM;
  return block;
}

TENURE_EXPORT void tenure_heap_free(tenure_heap* heap, void* block) {
  if (block == nullptr) return;
  const span* home = find_span(block);
  // Where there is no span any more, deallocate_slow() says what the address is.
  if (home != nullptr && home->owner != of(heap)) return report_misuse(misuse::heap_mismatch, block);
  deallocate_slow(block);
}

TENURE_EXPORT int tenure_heap_statistics(tenure_heap* heap, tenure_heap_stats* statistics) {
  if (statistics->struct_size < sizeof(tenure_heap_stats)) return 0;
  const named_heap_statistics counts = of(heap)->statistics();
  statistics->live_bytes = counts.live_bytes;
  statistics->live_blocks = counts.live_blocks;
  statistics->span_bytes = counts.span_bytes;
  statistics->allocated_bytes = counts.allocated_bytes;
  statistics->allocations = counts.allocations;
  statistics->peak_live_bytes = counts.peak_live_bytes;
  return 1;
}

TENURE_EXPORT const char* tenure_heap_name(const tenure_heap* heap) {
  return reinterpret_cast<const named_heap*>(heap)->name();
}

TENURE_EXPORT void tenure_heap_destroy(tenure_heap* heap) {
  if (heap != nullptr) destroy_named_heap(of(heap));
}

TENURE_EXPORT void tenure_testing_fail_from_nth_call(std::uint64_t nth) { tenure::os::fail_from_nth_call(nth); }
