#include "core/heap/fork.h"

#include "core/heap/background.h"
#include "core/heap/thread_cache.h"
#include "core/heap/walk.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {

void before_fork() noexcept {
  lock_heap();
  telemetry::before_fork();
}

void after_fork_in_parent() noexcept { unlock_heap(); }

void after_fork_in_child() noexcept {
  unlock_heap();
  telemetry::after_fork_in_child();
  recover_page_heap_after_fork();
  forget_background_after_fork();
  adopt_caches_after_fork();
}

}  // namespace tenure::core
