#include "library/gc/heap_state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/base/check.h"
#include "core/base/yield_point.h"
#include "library/gc/allocation.h"
#include "library/gc/counting.h"

namespace tenure::gc {

namespace {

std::atomic<heap_state*> heaps[detail::most_heaps];

}  // namespace

void add_heap(heap_state& added) noexcept {
  for (std::uint32_t i = added.number; i < detail::most_heaps; ++i) {
    heap_state* none = nullptr;
    added.number = i;
    if (heaps[i].compare_exchange_strong(none, &added)) return;
  }
  std::fprintf(stderr, "tenure: gc::heap \"%s\" would be one more than %zu at a time\n", added.name.c_str(),
               detail::most_heaps);
  std::abort();
}

void remove_heap(heap_state& removed) noexcept {
  detail::allocation_runs* none = detail::unregistered_thread.heaps[0];
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      if (at->heaps[removed.number] == none) continue;
      std::free(at->heaps[removed.number]);
      at->heaps[removed.number] = none;
    }
  }
  window& all = window::get();
  if (is_counted(removed)) {
    all.for_each_block(removed.number, [](std::size_t block, const block_header& header) {
      forget_counted_blocks(block, run_of(header));
    });
  }
  for (block_list& list : removed.lists) {
    for (const std::uint32_t block : list.blocks) all.give_run(block, 1, false);
  }
  for (const std::uint32_t block : removed.large) all.give_run(block, all.header(block).run_blocks, false);
  // Who goes through the heaps with the lock held has none that goes away meanwhile.
  const holding guard(threads_lock());
  heaps[removed.number].store(nullptr);
}

heap_state* heap_by_number(std::uint32_t number) noexcept { return heaps[number].load(std::memory_order_acquire); }

heap_statistics statistics_of(const heap_state& heap) noexcept {
  const heap_figures& now = heap.figures;
  heap_statistics told{};
  told.live_bytes = now.live_bytes.load();
  told.live_objects = now.live_objects.load();
  told.block_bytes = now.block_bytes.load();
  told.allocated_bytes = now.allocated_bytes.load();
  told.cycles = now.cycles.load();
  told.full_cycles = now.full_cycles.load();
  told.marked_objects = now.marked_objects.load();
  told.freed_objects = now.freed_objects.load();
  told.destroyed = now.destroyed.load();
  told.moved_objects = now.moved_objects.load();
  told.moved_bytes = now.moved_bytes.load();
  told.pinned_objects = now.pinned_objects.load();
  told.collector_ns = now.collector_ns.load();
  told.stopped_ns = now.stopped_ns.load();
  told.longest_stop_ns = now.longest_stop_ns.load();
  told.cycle_ns = now.cycle_ns.load();
  told.handshakes = now.handshakes.load();
  told.handshake_ns = now.handshake_ns.load();
  told.promoted_objects = now.promoted_objects.load();
  told.shaded_objects = now.shaded_objects.load();
  told.waits = now.waits.load();
  told.waited_ns = now.waited_ns.load();
  told.put_off = now.put_off.load();
  told.off_heap_bytes = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, heap.off_heap_bytes.load()));
  const std::size_t swept_bytes = now.swept_block_bytes.load();
  told.ready_bytes = window::get().ready_bytes();
  told.fragmented_bytes = swept_bytes - std::min(swept_bytes, told.live_bytes);
  return told;
}

void free_cell(const cell_place& at) noexcept {
  heap_state* heap = heap_by_number(at.header->heap_number);
  if (is_counted(*heap)) forget_counted(*heap, at);
  const bool small = at.header->state.load(std::memory_order_relaxed) == block_state::cells;
  const std::size_t list = small ? at.header->list : 0;
  const holding guard(small ? heap->lists[list].guard : heap->large_guard);
  block_bits& bits = window::get().bits(at.block);
  std::atomic<std::uint64_t>& allocated = bits.marks[at.index / 64].allocated;
  TENURE_CHECK((allocated.load(std::memory_order_relaxed) & at.bit) != 0);
  bits.to_clear[at.index / 64] |= at.bit;
  at.marks->marked.store(at.marks->marked.load(std::memory_order_relaxed) & ~at.bit, std::memory_order_relaxed);
  allocated.store(allocated.load(std::memory_order_relaxed) & ~at.bit, std::memory_order_relaxed);
  if (small) touch(*heap, heap->lists[list], at.block);  // to be counted, and opened, by the next sweep
}

void check_heap(heap_state& heap) noexcept {
  window& all = window::get();
  for (block_list& list : heap.lists) {
    const holding guard(list.guard);
    list.check();
  }
  for_each_block(heap, [&](std::size_t block) {
    const block_header& header = all.header(block);
    TENURE_CHECK(header.heap_number == heap.number);
    const block_state state = header.state.load(std::memory_order_relaxed);
    TENURE_CHECK(state == block_state::cells || state == block_state::large);
    if (state == block_state::large) return;
    const bool has_young = header.next_young != not_chained || heap.at.load() != stage::idle;
    for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
      const block_bits& bits = all.bits(block);
      const std::uint64_t allocated = bits.marks[word].allocated.load(std::memory_order_relaxed);
      TENURE_CHECK((allocated & ~valid_cells(header, word)) == 0);
      TENURE_CHECK((allocated & bits.to_clear[word]) == 0);
      // What no cycle has reached is where a young cycle looks for it.
      TENURE_CHECK(has_young || (allocated & ~bits.marks[word].marked.load(std::memory_order_relaxed)) == 0);
    }
  });
}

}  // namespace tenure::gc

namespace tenure::gc::detail {

heap_state::heap_state(const heap_options& given)
    : name(given.name),
      plan(given.plan),
      verify(given.verify),
      poison(given.poison),
      sample_bytes(given.sample_bytes),
      always_evacuate(given.always_evacuate),
      collect_every(given.collect_every_allocations),
      account(name, given.parent),
      at_share(given.at_share),
      collector_share_percent(given.collector_share_percent),
      growth_percent(given.growth_percent),
      limit_bytes(given.limit_bytes),
      least_growth_bytes(given.least_growth_bytes),
      growth_bytes(given.least_growth_bytes),
      stop_bytes(2 * given.least_growth_bytes),
      headroom_bytes(given.least_growth_bytes),
      nursery_bytes(given.least_growth_bytes),
      countdown(given.collect_every_allocations),
      soft_ms_per_free_mib(given.soft_ms_per_free_mib) {
  account.set_limit(given.limit_bytes);
}

void heap_state::tell_progress() noexcept {
  progress.fetch_add(1, std::memory_order_release);
  progress.notify_all();
}

void heap_state::wait_for_progress(std::uint32_t seen) noexcept {
#ifdef TENURE_SYSTEMATIC
  static_cast<void>(seen);
  TENURE_YIELD_POINT();
#else
  progress.wait(seen, std::memory_order_acquire);
#endif
}

}  // namespace tenure::gc::detail
