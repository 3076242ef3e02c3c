// When cycles run: on allocation, and in the collector's thread.
#include <sys/resource.h>

#include <algorithm>

#include "library/gc/collect.h"
#include "library/gc/cycle.h"
#include "library/gc/finalizer.h"
#include "library/gc/pacing.h"
#include "library/gc/plan.h"
#include "library/gc/relocation.h"
#include "library/gc/sweep.h"
#include "library/gc/watches.h"
#include "library/gc/weak_cells.h"
#include "library/gc/worker.h"

namespace tenure::gc {

namespace {

void live();

struct collector {
  worker thread{live, true};
  std::atomic<std::uint32_t> signal{0};
};
constinit collector self;

// When it returns, what is dead is free, or a plan may have left that to allocation.
enum class sweeping : std::uint8_t { to_the_end, as_the_plan_does };

// With the cycle lock held.
void run_held(heap_state& heap, cycle_kind kind, sweeping how) noexcept {
  const plan_traits& plan = traits_of(heap.plan);
  if (!plan.collects) return;
  if (!plan.has_young_cycles) kind = cycle_kind::full;
  cycle_measure measure(heap, kind);
  prepare_pace(heap, kind);
  plan.cycle(heap, kind);
  if (how == sweeping::to_the_end) finish_sweep(heap);
  advance_soft_clock();
  measure.end();
  set_pace(heap, kind);
  if (kind == cycle_kind::full) return_surplus();
}

// Ahead of the collector by as much as the pace allows: until the cycle that is asked for begins, or the one that runs
// ends.
void wait_for_collector(heap_state& heap) noexcept {
  std::uint64_t since_ns = 0;
  for (;;) {
    const std::uint32_t seen = heap.progress.load(std::memory_order_acquire);
    if (!heap.requested.load(std::memory_order_acquire)) break;
    const std::size_t ahead = heap.allocated_since.load(std::memory_order_relaxed);
    if (ahead < heap.stop_bytes.load(std::memory_order_relaxed)) break;
    if (since_ns == 0) since_ns = monotonic_ns();
    heap.wait_for_progress(seen);
  }
  if (since_ns == 0) return;
  const std::uint64_t waited_ns = monotonic_ns() - since_ns;
  heap.figures.waits.fetch_add(1, std::memory_order_relaxed);
  heap.figures.waited_ns.fetch_add(waited_ns, std::memory_order_relaxed);
  thread_state& waiter = this_thread();
  const holding guard(waiter.entries_lock);
  ++waiter.entries.waits;
  waiter.entries.waited_ns += waited_ns;
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
  run_held(*heap, is_full_due(*heap) ? cycle_kind::full : cycle_kind::young, sweeping::as_the_plan_does);
  heap->requested.store(false, std::memory_order_release);
  heap->tell_progress();
  return true;
}

void live() {
  ::setpriority(PRIO_PROCESS, 0, 5);  // of this thread: who has work to do goes first
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
    run_held(heap, kind, sweeping::as_the_plan_does);
  }
  after_cycle();
}

// One that growth has made due, unless another thread has run it meanwhile.
void run_due_cycle(heap_state& heap) noexcept {
  {
    const holding guard(cycle_lock());
    if (heap.allocated_since.load(std::memory_order_relaxed) < heap.growth_bytes.load(std::memory_order_relaxed))
      return;
    run_held(heap, is_full_due(heap) ? cycle_kind::full : cycle_kind::young, sweeping::as_the_plan_does);
  }
  after_cycle();
}

void run_whole_cycle(heap_state& heap) noexcept {
  {
    const holding guard(cycle_lock());
    run_held(heap, cycle_kind::full, sweeping::to_the_end);
  }
  after_cycle();
}

void request_cycle(heap_state& heap) noexcept {
  if (!self.thread.start()) return run_cycle(heap, cycle_kind::full);
  if (heap.requested.exchange(true, std::memory_order_acq_rel)) return;
  self.signal.fetch_add(1, std::memory_order_release);
  self.signal.notify_all();
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
  if (is_over_share(heap)) {
    heap.figures.put_off.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (!plan.in_background) return run_due_cycle(heap);
  request_cycle(heap);
  wait_for_collector(heap);
}

bool may_collect_for_memory(heap_state& heap) {
  if (!traits_of(heap.plan).collects) return false;
  return !heap.at_share || !is_over_share(heap) || heap.at_share(statistics_of(heap)) == at_share_limit::collect;
}

bool collect_for_memory(heap_state& heap) noexcept {
  if (!traits_of(heap.plan).collects) return false;
  const auto run_short_of_memory = [&] {
    {
      const holding guard(cycle_lock());
      heap.memory_is_short = true;
      run_held(heap, cycle_kind::full, sweeping::to_the_end);
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
  self.thread.reset();
  for_each_heap([](heap_state& heap) { heap.requested.store(false); });
}

}  // namespace tenure::gc
