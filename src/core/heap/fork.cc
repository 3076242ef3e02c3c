#include "core/heap/fork.h"

#include "core/budget/ledger.h"
#include "core/heap/background.h"
#include "core/heap/central_list.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/tally.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {

void before_fork() noexcept {
  lock_heap();
  budget::before_fork();
  telemetry::before_fork();
  telemetry::lock_tallies();
}

void after_fork_in_parent() noexcept {
  telemetry::unlock_tallies();
  budget::after_fork_in_parent();
  unlock_heap();
}

namespace {

void chain_if_emptied(void* context, span* of) noexcept {
  const bool blocks = of->kind == span_kind::small || of->kind == span_kind::named_small;
  if (!blocks || of->free_count != of->block_count) return;
  auto* chain = static_cast<span**>(context);
  of->next = *chain;
  *chain = of;
}

// A span without a block in use is in no list: the thread that was about to give it to the page heap is gone.
void release_emptied_spans() noexcept {
  span* chain = nullptr;
  lock_page_heap();
  visit_spans(chain_if_emptied, &chain);
  unlock_page_heap();
  while (chain != nullptr) {
    span* emptied = chain;
    chain = emptied->next;
    emptied->next = nullptr;
    release_span(emptied, false);
  }
}

}  // namespace

void after_fork_in_child() noexcept {
  release_heap_locks();  // a signal handler stays outside until all is in order
  // Off the parent's records before a region of our own is opened for them.
  telemetry::unlock_tallies();  // held by this thread, which is the one that lives
  budget::after_fork_in_child();
  telemetry::after_fork_in_child();
  recover_page_heap_after_fork();
  for (std::size_t i = 1; i < class_count; ++i) central_lists[i].recover_after_fork();
  release_emptied_spans();
  forget_background_after_fork();
  adopt_caches_after_fork();
  leave_heap();
}

}  // namespace tenure::core
