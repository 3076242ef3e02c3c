#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>

#include "core/base/check.h"
#include "library/gc/allocation.h"
#include "library/gc/collect.h"
#include "library/gc/counting.h"
#include "library/gc/cycle.h"
#include "library/gc/finalizer.h"
#include "library/gc/fork.h"
#include "library/gc/out_of_memory.h"
#include "library/gc/pacing.h"
#include "library/gc/plan.h"
#include "library/gc/roots.h"
#include "library/gc/sweep.h"
#include "library/gc/watches.h"
#include "library/gc/weak_cells.h"

namespace tenure::gc {

namespace {

// What no heap has and the kernel could have back. Asked before heaps, which would have to collect.
std::uint64_t shrink_ready(void*, const tenure_pressure*) {
  const holding guard(cycle_lock());
  return window::get().return_ready(0);
}

void start_shrinking_ready() noexcept {
  constexpr std::int32_t before_heaps = 90;
  static lock registering;
  static bool is_registered = false;
  const holding guard(registering);
  // When 256 are registered it is not asked.
  if (!is_registered) is_registered = tenure_shrinker_register(nullptr, before_heaps, shrink_ready, nullptr) != 0;
}

// Throws std::bad_alloc.
heap_state* make_state(heap_options options, gc::plan plan, std::uint32_t number) {
  options.plan = plan;
  if (!window::prepare()) throw std::bad_alloc();
  prepare_destructors();
  if (plan == plan::refcount) {
    const holding guard(cycle_lock());
    prepare_counting();
  }
  auto made = std::make_unique<heap_state>(options);
  made->number = number;
  prepare_for_fork();
  window& all = window::get();
  if (traits_of(made->plan).has_young_cycles) all.use_cards();
  start_soft_clock();
  {
    // Between what a fork does before and after it no heap comes or goes.
    const holding guard(cycle_lock());
    add_heap(*made);
    if (made->verify) verify_stores(true);
  }
  made->account.start_shrinking(shrink_heap, made.get());
  start_shrinking_ready();
  return made.release();
}

heap_state* make_standard_state() noexcept {
  try {
    return make_state({.name = "standard"}, plan::sticky_concurrent, 0);
  } catch (const std::bad_alloc&) {
    end_out_of_memory("gc::heap::standard()");
  }
}

gc::plan checked(gc::plan plan) {
  if (moves_all(plan)) {
    throw std::invalid_argument(std::string("tenure::gc: a heap of the plan ") + traits_of(plan).name +
                                " is made by gc::heap_of, which checks that its types may be moved");
  }
  return plan;
}

// What leads to the heap's objects from outside: `thread` is whose local it is; 0: a root.
[[noreturn]] void still_used(const heap_state& heap, long thread) noexcept {
  char by[64] = "a root";
  if (thread != 0) std::snprintf(by, sizeof by, "local of thread %ld", thread);
  std::fprintf(stderr, "tenure: gc::heap \"%s\" was destroyed while %s still leads to its objects\n", heap.name.c_str(),
               by);
  std::abort();
}

void reject_if_used(const heap_state& heap) noexcept {
  const window& all = window::get();
  const auto is_own = [&](void* target) {
    return all.holds(target) && all.place(target).header->heap_number == heap.number;
  };
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      for_each_slot(*at, [&](void* target) {
        if (is_own(target)) still_used(heap, at->id);
      });
    }
  }
  for_each_root([&](void* target) {
    if (is_own(target)) still_used(heap, 0);
  });
}

[[noreturn]] void destroyed_from_inside(const heap_state& heap) noexcept {
  std::fprintf(stderr, "tenure: gc::heap \"%s\" was destroyed by the destructor of a managed object\n",
               heap.name.c_str());
  std::abort();
}

}  // namespace

heap::heap(const heap_options& options, gc::plan plan)
    : state_(make_state(options, plan, 1)), number_(state_->number) {}
heap::heap(const heap_options& options) : heap(options, checked(options.plan)) {}

heap::heap(standard_tag) noexcept : state_(make_standard_state()), number_(state_->number) {
  TENURE_CHECK(number_ == 0);
}

heap& heap::standard() noexcept {
  alignas(heap) static char storage[sizeof(heap)];
  // Never destroyed: objects and threads may outlive every static.
  static heap* const made = new (storage) heap(standard_tag{});
  return *made;
}

heap::~heap() {
  if (is_in_destructor()) destroyed_from_inside(*state_);
  state_->account.stop_shrinking();
  run_destructors_here();
  bool are_queued;
  {
    const holding guard(cycle_lock());
    {
      const stopped_world stopped(nullptr);
      reject_if_used(*state_);
    }
    // Everything is dead: weak references and members say so before the first destructor runs.
    clear_marks(*state_);
    resolve_weak_cells(*state_);
    abandon(take_guarded(*state_));
    are_queued = queue_dead(*state_);
    // They lead to one another no more.
    if (is_counted(*state_)) counting(*state_).count_anew();
  }
  run_destructors_here();
  if (!are_queued) destroy_all(*state_);
  watch* mourners;
  {
    const holding guard(cycle_lock());
    free_destroyed();
    mourners = take_phantoms(*state_);
    if (state_->verify) verify_stores(false);
    remove_heap(*state_);
    return_surplus();
  }
  delete state_;
  tell(mourners);
  end_abandoned();
}

void heap::collect() {
  retire_runs(registered_thread());
  run_whole_cycle(*state_);
}

void heap::collect_young() {
  retire_runs(registered_thread());
  run_cycle(*state_, cycle_kind::young);
}

void heap::wait_for_destructors() {
  while (!gc::wait_for_destructors(1000)) continue;
}

heap_statistics heap::statistics() const noexcept { return statistics_of(*state_); }

std::string_view heap::name() const noexcept { return state_->name; }
gc::plan heap::plan() const noexcept { return state_->plan; }
void heap::set_growth_percent(unsigned percent) noexcept { state_->growth_percent.store(percent); }
void heap::set_limit_bytes(std::size_t bytes) noexcept {
  state_->limit_bytes.store(bytes);
  state_->account.set_limit(bytes);
}
void heap::set_collector_share_percent(unsigned percent) noexcept { state_->collector_share_percent.store(percent); }
void heap::adjust_off_heap(std::ptrdiff_t bytes) noexcept {
  state_->off_heap_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes > 0) state_->allocated_since.fetch_add(static_cast<std::size_t>(bytes), std::memory_order_relaxed);
}
bool heap::idle(std::chrono::nanoseconds budget) { return run_idle_cycle(*state_, budget); }
std::vector<cycle_event> heap::last_cycles() const {
  const holding guard(cycle_lock());
  const cycle_log& log = state_->log;
  std::vector<cycle_event> told;
  for (std::uint64_t i = log.count - std::min<std::uint64_t>(log.count, log.capacity); i < log.count; ++i) {
    told.push_back(log.events[i % log.capacity]);
  }
  return told;
}
void heap::set_soft_ms_per_free_mib(unsigned ms) noexcept { state_->soft_ms_per_free_mib.store(ms); }

}  // namespace tenure::gc

namespace tenure::gc::detail {

heap_state* standard_heap() noexcept { return &heap::standard().state(); }

owner heap_of_owner(const void* part, const char* what) noexcept {
  window& all = window::get();
  if (all.holds(part)) {
    const cell_place at = all.place(part);
    if (all.is_allocated(at)) return {heap_by_number(at.header->heap_number), at.header->heap_number};
  }
  std::fprintf(stderr,
               "tenure: a gc::%s outside of a managed object keeps nothing alive: put it into one, or make one of it "
               "with gc::make\n",
               what);
  std::abort();
}

void reject_other_heap(const char* what) noexcept {
  std::fprintf(stderr, "tenure: a gc::%s cannot be moved to another heap: copy it\n", what);
  std::abort();
}

}  // namespace tenure::gc::detail
