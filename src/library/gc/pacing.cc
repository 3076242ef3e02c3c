#include "library/gc/pacing.h"

#include <algorithm>
#include <new>
#include <utility>

#include "library/gc/cycle.h"
#include "library/gc/plan.h"

namespace tenure::gc {

namespace {

// A full cycle comes at the latest when so many times what the heap may grow by has been allocated: old garbage that
// holds little memory may hold something else.
constexpr std::size_t allocated_between_full = 16;

std::size_t off_heap_bytes(const heap_state& heap) noexcept {
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, heap.off_heap_bytes.load(std::memory_order_relaxed)));
}

std::size_t grown_bytes(const heap_state& heap, std::size_t live) noexcept {
  return live / 100 * heap.growth_percent.load(std::memory_order_relaxed);
}

// Of what the heap may grow by, what threads allocate while a full cycle marks.
std::size_t reserve_bytes(const heap_state& heap) noexcept {
  return std::max(heap.least_growth_bytes / 2, growth_after_full(heap) / 8);
}

// Where young cycles take more of the process's processor time than the first, because much survives or many old
// objects were stored to, fewer of them cost less than it costs that the nursery is in no cache; where they take less
// than the second, they are cheap enough to have it there.
constexpr double most_share = 0.2;
constexpr double least_share = 0.06;

// The last cycle's processor time in the process's since the one before ended.
double share_of_last_cycle(heap_state& heap) noexcept {
  const std::uint64_t now_ns = process_processor_ns();
  const std::uint64_t period_ns = now_ns - std::exchange(heap.process_ns_then, now_ns);
  const cycle_event& last = heap.log.events[(heap.log.count - 1) % heap.log.capacity];
  return static_cast<double>(last.collector_ns) / static_cast<double>(std::max<std::uint64_t>(1, period_ns));
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

std::size_t growth_after_full(const heap_state& heap) noexcept {
  const std::size_t base = heap.live_after_full.load(std::memory_order_relaxed);
  return std::max(grown_bytes(heap, base), heap.least_growth_bytes);
}

void return_surplus() noexcept {
  window& all = window::get();
  std::size_t most_bytes = all.wanted_ready_bytes();
  for_each_heap([&](const heap_state& heap) { most_bytes += growth_after_full(heap); });
  all.return_ready(most_bytes);
}

bool is_full_due(const heap_state& heap) noexcept {
  const std::size_t headroom = heap.headroom_bytes.load(std::memory_order_relaxed);
  const std::size_t reserve = reserve_bytes(heap);
  const std::size_t since_full = heap.allocated_since_full + heap.allocated_since.load(std::memory_order_relaxed);
  return heap.young_are_vain || headroom <= reserve || since_full >= allocated_between_full * growth_after_full(heap);
}

void prepare_pace(heap_state& heap, cycle_kind kind) noexcept {
  if (kind == cycle_kind::young) return;
  const std::size_t headroom = heap.headroom_bytes.load(std::memory_order_relaxed);
  const std::size_t used = std::min(headroom, heap.allocated_since.load(std::memory_order_relaxed));
  heap.stop_bytes.store(std::max(2 * heap.least_growth_bytes, headroom - used), std::memory_order_relaxed);
}

void set_pace(heap_state& heap, cycle_kind kind) noexcept {
  const std::size_t in_cells = heap.figures.live_bytes.load(std::memory_order_relaxed);
  const std::size_t live = in_cells + off_heap_bytes(heap);
  // Without what threads allocated meanwhile, dead or alive: the more they are ahead, the more they could get ahead.
  if (kind == cycle_kind::full) {
    heap.live_after_full.store(live - std::min(in_cells, heap.born_bytes), std::memory_order_relaxed);
    heap.allocated_since_full = 0;
    heap.young_are_vain = false;
  }
  const std::size_t goal = heap.live_after_full.load(std::memory_order_relaxed) + growth_after_full(heap);
  const std::size_t headroom = goal > live ? goal - live : 0;
  heap.headroom_bytes.store(headroom, std::memory_order_relaxed);
  if (!traits_of(heap.plan).in_background) {
    heap.growth_bytes.store(std::max(headroom, heap.least_growth_bytes), std::memory_order_relaxed);
    return;
  }
  const std::size_t least = heap.least_growth_bytes;
  const double share = share_of_last_cycle(heap);
  if (kind == cycle_kind::young) {
    if (share > most_share) heap.nursery_bytes *= 2;
    if (share < least_share) heap.nursery_bytes /= 2;
    heap.young_are_vain = share > most_share && heap.promoted_bytes > heap.allocated_before_cycle / 2;
  }
  heap.nursery_bytes = std::clamp(heap.nursery_bytes, least, std::max(least, headroom / 2));
  if (heap.young_are_vain) {
    heap.growth_bytes.store(std::max(least, headroom - std::min(headroom, reserve_bytes(heap))));
    return;
  }
  heap.growth_bytes.store(heap.nursery_bytes, std::memory_order_relaxed);
  heap.stop_bytes.store(std::max(2 * least, heap.nursery_bytes), std::memory_order_relaxed);
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
  try {
    heap_.processors.store(usable_processors(), std::memory_order_relaxed);
  } catch (const std::bad_alloc&) {
    // There is no memory to read it with: the quota that was known stands.
  }
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
