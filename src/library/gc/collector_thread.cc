// When cycles run: on allocation, and in the collector's thread.
#include <sys/resource.h>

#include <algorithm>

#include "library/gc/collect.h"
#include "library/gc/cycle.h"
#include "library/gc/finalizer.h"
#include "library/gc/plan.h"
#include "library/gc/relocation.h"
#include "library/gc/watches.h"
#include "library/gc/weak_cells.h"
#include "library/gc/worker.h"

namespace tenure::gc {

namespace {

constexpr unsigned most_young_in_a_row = 16;

struct collector {
  worker thread;
  std::atomic<std::uint32_t> signal{0};
};
collector& the_collector() {
  static collector* const made = new collector;
  return *made;
}

std::size_t grown_bytes(const heap_state& heap, std::size_t live) noexcept {
  return live / 100 * heap.growth_percent.load(std::memory_order_relaxed);
}

// Whether the heap as a whole has grown so much that the old objects have to be looked at, too.
bool is_full_due(const heap_state& heap) noexcept {
  const std::size_t base = heap.live_after_full.load(std::memory_order_relaxed);
  const std::size_t goal = base + std::max(grown_bytes(heap, base), heap.least_growth_bytes);
  return heap.young_in_a_row >= most_young_in_a_row ||
         heap.figures.live_bytes.load(std::memory_order_relaxed) + heap.least_growth_bytes / 2 >= goal;
}

// How much may be allocated before the next cycle begins.
void set_pace(heap_state& heap, cycle_kind kind) noexcept {
  const std::size_t live = heap.figures.live_bytes.load(std::memory_order_relaxed);
  // Without what threads allocated meanwhile, dead or alive: the more they are ahead, the more they could get ahead.
  if (kind == cycle_kind::full) {
    heap.live_after_full.store(live - std::min(live, heap.born_bytes), std::memory_order_relaxed);
  }
  heap.young_in_a_row = kind == cycle_kind::full ? 0 : heap.young_in_a_row + 1;
  const std::size_t base = heap.live_after_full.load(std::memory_order_relaxed);
  const std::size_t goal = base + grown_bytes(heap, base);
  const std::size_t left = goal > live ? goal - live : 0;
  heap.growth_bytes.store(std::max(left, heap.least_growth_bytes), std::memory_order_relaxed);
}

// With the cycle lock held.
void run_held(heap_state& heap, cycle_kind kind) noexcept {
  const plan_traits& plan = traits_of(heap.plan);
  if (!plan.collects) return;
  if (!plan.has_young_cycles) kind = cycle_kind::full;
  const std::uint64_t before_ns = thread_processor_ns();
  plan.cycle(heap, kind);
  advance_soft_clock();
  set_pace(heap, kind);
  heap.figures.collector_ns.fetch_add(thread_processor_ns() - before_ns, std::memory_order_relaxed);
  heap.figures.cycles.fetch_add(1, std::memory_order_relaxed);
  if (kind == cycle_kind::full) heap.figures.full_cycles.fetch_add(1, std::memory_order_relaxed);
}

// What the cycle has left is the program's own: destructors and notes. With no lock held.
void after_cycle() noexcept {
  start_destructors();
  end_abandoned();
}

bool run_requested(std::uint32_t number) noexcept {
  // A heap goes away with this lock held.
  const holding guard(cycle_lock());
  heap_state* heap = heap_by_number(number);
  if (heap == nullptr || !heap->requested.load(std::memory_order_acquire)) return false;
  run_held(*heap, is_full_due(*heap) ? cycle_kind::full : cycle_kind::young);
  heap->requested.store(false, std::memory_order_release);
  return true;
}

void live() {
  ::setpriority(PRIO_PROCESS, 0, 5);  // of this thread: who has work to do goes first
  collector& self = the_collector();
  for (;;) {
    const std::uint32_t seen = self.signal.load(std::memory_order_acquire);
    for (std::uint32_t number = 0; number < detail::most_heaps; ++number) {
      if (run_requested(number)) after_cycle();
    }
    self.signal.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace

void run_cycle(heap_state& heap, cycle_kind kind) noexcept {
  {
    const holding guard(cycle_lock());
    run_held(heap, kind);
  }
  after_cycle();
}

void request_cycle(heap_state& heap) noexcept {
  collector& all = the_collector();
  if (!all.thread.start(live)) return run_cycle(heap, cycle_kind::full);
  if (heap.requested.exchange(true, std::memory_order_acq_rel)) return;
  all.signal.fetch_add(1, std::memory_order_release);
  all.signal.notify_all();
}

void before_allocation(heap_state& heap) noexcept {
  const plan_traits& plan = traits_of(heap.plan);
  if (!plan.collects) return;
  if (plan.moves) claim(heap);
  if (heap.collect_every != 0) {
    if (heap.countdown.fetch_sub(1, std::memory_order_relaxed) == 1) {
      heap.countdown.store(heap.collect_every, std::memory_order_relaxed);
      run_cycle(heap, cycle_kind::full);
    }
    return;
  }
  const std::size_t growth = heap.growth_bytes.load(std::memory_order_relaxed);
  if (heap.allocated_since.load(std::memory_order_relaxed) < growth) return;
  if (!plan.in_background) return run_cycle(heap, cycle_kind::full);
  request_cycle(heap);
  // Ahead of the collector: a pause for each word of cells while it is at work, a stop where memory would double.
  for (unsigned round = 0; heap.requested.load(std::memory_order_acquire); ++round) {
    const std::size_t ahead = heap.allocated_since.load(std::memory_order_relaxed);
    if (ahead < growth + growth / 4) return;
    back_off(std::max(round, 16u));
    if (ahead < 2 * growth) return;
  }
}

bool collect_for_memory(heap_state& heap) noexcept {
  if (!traits_of(heap.plan).collects) return false;
  const auto run_short_of_memory = [&] {
    {
      const holding guard(cycle_lock());
      heap.memory_is_short = true;
      run_held(heap, cycle_kind::full);
      heap.memory_is_short = false;
    }
    after_cycle();
  };
  run_short_of_memory();
  constexpr unsigned rounds = 80;
  if (wait_for_destructors(rounds)) run_short_of_memory();
  return true;
}

void reset_collector_in_child() noexcept {
  the_collector().thread.reset();
  for_each_heap([](heap_state& heap) { heap.requested.store(false); });
}

}  // namespace tenure::gc
