#include "library/gc/pacing.h"

#include <algorithm>

#include "library/gc/cycle.h"
#include "library/gc/plan.h"

namespace tenure::gc {

namespace {

constexpr unsigned most_young_in_a_row = 16;

std::size_t off_heap_bytes(const heap_state& heap) noexcept {
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, heap.off_heap_bytes.load(std::memory_order_relaxed)));
}

std::size_t grown_bytes(const heap_state& heap, std::size_t live) noexcept {
  return live / 100 * heap.growth_percent.load(std::memory_order_relaxed);
}

// The longest of the last cycles of the kind; 0: there was none.
std::uint64_t expected_ns(const heap_state& heap, bool is_full) noexcept {
  std::uint64_t longest_ns = 0;
  const cycle_log& log = heap.log;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(log.count, 8); ++i) {
    const cycle_event& event = log.events[(log.count - 1 - i) % log.capacity];
    if (event.is_full == is_full) longest_ns = std::max(longest_ns, event.cycle_ns);
  }
  return longest_ns;
}

}  // namespace

bool is_full_due(const heap_state& heap) noexcept {
  const std::size_t base = heap.live_after_full.load(std::memory_order_relaxed);
  const std::size_t goal = base + std::max(grown_bytes(heap, base), heap.least_growth_bytes);
  const std::size_t live = heap.figures.live_bytes.load(std::memory_order_relaxed) + off_heap_bytes(heap);
  return heap.young_in_a_row >= most_young_in_a_row || live + heap.least_growth_bytes / 2 >= goal;
}

void set_pace(heap_state& heap, cycle_kind kind) noexcept {
  const std::size_t in_cells = heap.figures.live_bytes.load(std::memory_order_relaxed);
  const std::size_t live = in_cells + off_heap_bytes(heap);
  // Without what threads allocated meanwhile, dead or alive: the more they are ahead, the more they could get ahead.
  if (kind == cycle_kind::full) {
    heap.live_after_full.store(live - std::min(in_cells, heap.born_bytes), std::memory_order_relaxed);
  }
  heap.young_in_a_row = kind == cycle_kind::full ? 0 : heap.young_in_a_row + 1;
  const std::size_t base = heap.live_after_full.load(std::memory_order_relaxed);
  const std::size_t goal = base + grown_bytes(heap, base);
  const std::size_t left = goal > live ? goal - live : 0;
  heap.growth_bytes.store(std::max(left, heap.least_growth_bytes), std::memory_order_relaxed);
}

bool is_over_share(heap_state& heap) noexcept {
  const unsigned most = heap.collector_share_percent.load(std::memory_order_relaxed);
  if (most == 0) return false;
  const holding guard(heap.share_guard);
  return heap.share.percent(monotonic_ns(), heap.processors.load(std::memory_order_relaxed)) >= most;
}

cycle_measure::cycle_measure(heap_state& of, cycle_kind kind) noexcept
    : heap_(of), handshake_ns_(handshake_ns()), shaded_(shade_count()) {
  const heap_figures& now = of.figures;
  event_.number = now.cycles.load() + 1;
  event_.is_full = kind == cycle_kind::full;
  event_.began_ns = monotonic_ns();
  event_.collector_ns = thread_processor_ns();
  event_.stopped_ns = now.stopped_ns.load();
  event_.handshakes = handshake_count();
  event_.marked_objects = now.marked_objects.load();
  event_.freed_objects = now.freed_objects.load();
}

void cycle_measure::end() noexcept {
  heap_figures& now = heap_.figures;
  const std::uint64_t ended_ns = monotonic_ns();
  event_.cycle_ns = ended_ns - event_.began_ns;
  event_.collector_ns = thread_processor_ns() - event_.collector_ns;
  event_.stopped_ns = now.stopped_ns.load() - event_.stopped_ns;
  event_.handshakes = handshake_count() - event_.handshakes;
  event_.marked_objects = now.marked_objects.load() - event_.marked_objects;
  event_.freed_objects = now.freed_objects.load() - event_.freed_objects;
  event_.live_bytes = now.live_bytes.load();
  event_.block_bytes = now.block_bytes.load();
  heap_.log.events[heap_.log.count++ % heap_.log.capacity] = event_;
  now.cycles.fetch_add(1, std::memory_order_relaxed);
  if (event_.is_full) now.full_cycles.fetch_add(1, std::memory_order_relaxed);
  now.cycle_ns.fetch_add(event_.cycle_ns, std::memory_order_relaxed);
  now.collector_ns.fetch_add(event_.collector_ns, std::memory_order_relaxed);
  now.handshakes.fetch_add(event_.handshakes, std::memory_order_relaxed);
  now.handshake_ns.fetch_add(handshake_ns() - handshake_ns_, std::memory_order_relaxed);
  now.shaded_objects.fetch_add(shade_count() - shaded_, std::memory_order_relaxed);
  heap_.account.publish(event_.live_bytes, now.live_objects.load(), now.freed_objects.load() + now.live_objects.load());
  if (heap_.collector_share_percent.load(std::memory_order_relaxed) == 0) return;
  // A quota may change while the program runs.
  heap_.processors.store(usable_processors(), std::memory_order_relaxed);
  const holding guard(heap_.share_guard);
  heap_.share.add(ended_ns, event_.collector_ns);
}

bool run_idle_cycle(heap_state& heap, std::chrono::nanoseconds budget) noexcept {
  if (!traits_of(heap.plan).collects || budget.count() <= 0) return false;
  // With less than a quarter of the growth allocated a cycle would find little.
  const std::size_t since = heap.allocated_since.load(std::memory_order_relaxed);
  if (since < heap.growth_bytes.load(std::memory_order_relaxed) / 4) return false;
  cycle_kind kind = cycle_kind::young;
  {
    const holding guard(cycle_lock());
    if (!traits_of(heap.plan).has_young_cycles || is_full_due(heap)) kind = cycle_kind::full;
    if (expected_ns(heap, kind == cycle_kind::full) > static_cast<std::uint64_t>(budget.count())) return false;
  }
  run_cycle(heap, kind);
  return true;
}

std::uint64_t shrink_heap(void* context, const tenure_pressure* why) {
  heap_state& heap = *static_cast<heap_state*>(context);
  if (!traits_of(heap.plan).collects) return 0;
  if (why->level == TENURE_PRESSURE_SOFT_LIMIT) {
    // Nobody waits; and each charge beyond the limit asks again.
    const std::size_t since = heap.allocated_since.load(std::memory_order_relaxed);
    if (since >= heap.growth_bytes.load(std::memory_order_relaxed) / 8) request_cycle(heap);
    return 0;
  }
  // At its own limit the thread that allocates collects, unless the user says no.
  if (why->origin != nullptr && why->origin == heap.account.handle()) return 0;
  const std::size_t before = heap.figures.block_bytes.load(std::memory_order_relaxed);
  collect_for_memory(heap);
  const std::size_t after = heap.figures.block_bytes.load(std::memory_order_relaxed);
  return before - std::min(before, after);
}

}  // namespace tenure::gc
