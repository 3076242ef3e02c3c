#include "library/gc/fork.h"

#include <pthread.h>

#include <new>

#include "library/gc/collect.h"
#include "library/gc/cycle.h"
#include "library/gc/finalizer.h"
#include "library/gc/prefault.h"
#include "library/gc/roots.h"
#include "library/gc/sides.h"
#include "library/gc/watches.h"

namespace tenure::gc {

namespace {

// Each lock of the room in the order in which they nest, but for the cycle lock, which comes before them. While it is
// held, the heaps stay the same.
template <class Each>
void for_each_lock(Each each) {
  each(destructors_lock());
  each(weak_gate());
  for_each_side_lock(each);
  each(watches_lock());
  each(roots_lock());
  each(threads_lock());
  for_each_heap([&](heap_state& heap) {
    for (block_list& list : heap.lists) each(list.guard);
    each(heap.large_guard);
  });
  each(window::get().guard());
  each(learning_lock());
}

void before() {
  cycle_lock().acquire();
  for_each_lock([](lock& each) { each.acquire(); });
}
void in_parent() {
  for_each_lock([](lock& each) { each.release(); });
  cycle_lock().release();
}
void in_child() {
  cycle_lock().reset();
  for_each_lock([](lock& each) { each.reset(); });
  forget_other_threads();
  reset_destructors_in_child();
  reset_collector_in_child();
  window::get().forget_preparation();
  reset_prefault_in_child();
}

constinit lock enrolling;
bool is_enrolled = false;  // guarded by it

}  // namespace

void prepare_for_fork() {
  const holding guard(enrolling);
  if (is_enrolled) return;
  if (::pthread_atfork(before, in_parent, in_child) != 0) throw std::bad_alloc();
  is_enrolled = true;
}

}  // namespace tenure::gc
