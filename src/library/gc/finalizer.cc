#include "library/gc/finalizer.h"

#include <atomic>
#include <deque>
#include <new>
#include <vector>

#include "core/base/check.h"
#include "library/gc/cycle.h"
#include "library/gc/watches.h"
#include "library/gc/worker.h"

namespace tenure::gc {

namespace {

void run_finalizers();

struct destructor_queue {
  lock guard;
  std::deque<char*> pending;
  std::vector<char*> destroyed;
  char* running = nullptr;
  const thread_state* runner = nullptr;  // the thread that runs it
  std::atomic<std::uint32_t> signal{0};
  worker thread{run_finalizers, true};
};

destructor_queue& queue() {
  static destructor_queue* const made = new destructor_queue;
  return *made;
}

// Runs the oldest; false when there is none or another thread is at it.
bool run_one() noexcept {
  destructor_queue& all = queue();
  {
    const holding guard(all.guard);
    if (all.running != nullptr || all.pending.empty()) return false;
    all.running = all.pending.front();
    all.pending.pop_front();
    all.runner = &this_thread();
  }
  destroy_object(all.running);
  const holding guard(all.guard);
  all.destroyed.push_back(all.running);  // there is room: queue_destructor has made it
  all.running = nullptr;
  all.runner = nullptr;
  return true;
}

void free_if_no_cycle() noexcept {
  if (!cycle_lock().try_acquire()) return;
  free_destroyed();
  cycle_lock().release();
  end_abandoned();
}

void run_finalizers() {
  destructor_queue& all = queue();
  for (;;) {
    const std::uint32_t seen = all.signal.load(std::memory_order_acquire);
    bool any = false;
    while (run_one()) any = true;
    if (any) {
      free_if_no_cycle();
    } else {
      all.signal.wait(seen, std::memory_order_acquire);
    }
  }
}

}  // namespace

void prepare_destructors() { queue(); }

lock& destructors_lock() noexcept { return queue().guard; }

bool is_destroying(const heap_state& heap) noexcept {
  char* running = queue().running;
  return running != nullptr && window::get().place(running).header->heap_number == heap.number;
}

void for_each_queued(const heap_state& heap, void (*visit)(void* context, char* cell), void* context) noexcept {
  const auto visit_own = [&](char* cell) {
    if (window::get().place(cell).header->heap_number == heap.number) visit(context, cell);
  };
  for (char* cell : queue().pending) visit_own(cell);
  for (char* cell : queue().destroyed) visit_own(cell);
  if (queue().running != nullptr) visit_own(queue().running);
}

void destroy_object(char* cell) noexcept {
  detail::type_descriptor* type = type_of(cell);
  if (type != nullptr && type->destroy != nullptr) {
    type->destroy(cell + type->payload_offset, element_count(*type, cell));
    const cell_place at = window::get().place(cell);
    if (heap_state* heap = heap_by_number(at.header->heap_number)) {
      heap->figures.destroyed.fetch_add(1, std::memory_order_relaxed);
    }
  }
  __atomic_store_n(reinterpret_cast<detail::type_descriptor**>(cell), &detail::descriptor_of<char>, __ATOMIC_RELEASE);
}

bool queue_destructor(char* cell) noexcept {
  destructor_queue& all = queue();
  const holding guard(all.guard);
  try {
    make_room(all.destroyed, all.destroyed.size() + all.pending.size() + 2);
    all.pending.push_back(cell);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void start_destructors() noexcept {
  destructor_queue& all = queue();
  {
    const holding guard(all.guard);
    if (all.pending.empty()) return;
  }
  if (!all.thread.start()) run_destructors_here();
  all.signal.fetch_add(1, std::memory_order_release);
  all.signal.notify_all();
}

void mark_queued(heap_state& heap, marker& into) noexcept {
  destructor_queue& all = queue();
  window& known = window::get();
  const holding guard(all.guard);
  const auto mark = [&](char* cell) {
    const cell_place at = known.place(cell);
    if (at.header->heap_number == heap.number) into.trace_now(at);
  };
  for (char* cell : all.pending) mark(cell);
  for (char* cell : all.destroyed) mark(cell);
  if (all.running != nullptr) mark(all.running);
}

std::vector<char*> queued_cells() {
  destructor_queue& all = queue();
  const holding guard(all.guard);
  std::vector<char*> cells(all.pending.begin(), all.pending.end());
  if (all.running != nullptr) cells.push_back(all.running);
  return cells;
}

void free_destroyed() noexcept {
  destructor_queue& all = queue();
  const holding guard(all.guard);
  for (char* cell : all.destroyed) {
    const cell_place at = window::get().place(cell);
    watch* mourners = take_phantoms_of(at);
    free_cell(at);
    tell(mourners);
  }
  all.destroyed.clear();
}

bool wait_for_destructors(unsigned rounds) noexcept {
  destructor_queue& all = queue();
  start_destructors();  // in the child of a fork there may be some, and no thread
  for (unsigned round = 0; round < rounds; ++round) {
    {
      const holding guard(all.guard);
      if (all.pending.empty() && all.running == nullptr) break;
    }
    if (round + 1 == rounds) return false;
    back_off(round);
  }
  free_if_no_cycle();
  return true;
}

void run_destructors_here() noexcept {
  if (is_in_destructor()) return;
  for (unsigned round = 0;; ++round) {
    while (run_one()) round = 0;
    {
      const holding guard(queue().guard);
      if (queue().pending.empty() && queue().running == nullptr) return;
    }
    back_off(round);
  }
}

bool is_in_destructor() noexcept {
  const thread_state& self = this_thread();
  const holding guard(queue().guard);
  return queue().runner == &self;
}

bool is_in_destructor_of(const heap_state& heap) noexcept {
  const thread_state& self = this_thread();
  const holding guard(queue().guard);
  return queue().runner == &self && is_destroying(heap);
}

void reset_destructors_in_child() noexcept {
  queue().guard.reset();
  queue().thread.reset();
  // One that another thread was running will not return; what it did to its object is not known. One that has forked
  // itself goes on.
  if (queue().running != nullptr && queue().runner != &this_thread()) {
    __atomic_store_n(reinterpret_cast<detail::type_descriptor**>(queue().running), &detail::descriptor_of<char>,
                     __ATOMIC_RELEASE);
    queue().running = nullptr;
    queue().runner = nullptr;
  }
}

}  // namespace tenure::gc
