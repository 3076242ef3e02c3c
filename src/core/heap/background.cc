#include "core/heap/background.h"

#include <sys/prctl.h>
#include <cstdint>

#include "core/base/bits.h"
#include "core/base/options.h"
#include "core/heap/central_list.h"
#include "core/heap/thread_cache.h"
#include "core/os/bare_thread.h"
#include "core/os/clock.h"
#include "core/os/futex.h"
#include "core/pages/huge_pages.h"
#include "core/pages/page_heap.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {
namespace {

constexpr std::size_t stack_bytes = 64 * 1024;
constexpr std::uint64_t nanoseconds_per_millisecond = 1000000;
// What is not worth a thread: less to give back, in a heap that is not notable.
constexpr std::size_t least_dirty_bytes = 4 << 20;
// What is changed after some looks, by thinning or with a huge page, has been at rest for the decay then.
constexpr unsigned looks_in_decay = 4;
static_assert(looks_before_thinning == looks_in_decay && looks_before_rebuilding == looks_in_decay);
// Looks that found nothing to do: one more than a dense region needs to get its huge page.
constexpr unsigned looks_before_sleep = looks_in_decay + 1;

enum state : std::uint32_t { not_started = 0, starting = 1, running = 2, asleep = 3, impossible = 4 };

std::uint32_t thread_state = not_started;
bool allowed = false;
std::uint64_t last_return_ns = 0;
std::uint32_t is_returning_inline = 0;  // one thread at a time

std::uint64_t decay_ns() noexcept {
  return static_cast<std::uint64_t>(value(option::decay)) * nanoseconds_per_millisecond;
}

void trim_batches() noexcept {
  for (std::size_t i = 1; i < class_count; ++i) central_lists[i].trim(i);
}

// Pages of free blocks alone, within spans that others pin. True when there was something, or may be at the next look.
bool thin_spans(bool also_changed) noexcept {
  std::size_t returned_bytes = 0;
  std::size_t waiting_bytes = 0;
  for (std::size_t i = 1; i < class_count; ++i) {
    returned_bytes += central_lists[i].thin(i, also_changed, &waiting_bytes);
  }
  __atomic_fetch_add(&telemetry::statistics().returned_bytes_total, returned_bytes, __ATOMIC_RELAXED);
  return returned_bytes != 0 || waiting_bytes >= least_dirty_bytes / 4;
}

// One look at everything. True when there was something to do, or will be at the next look.
bool look_after() noexcept {
  give_up_parked_caches(decay_ns());
  trim_batches();
  return_pages(decay_ns());
  const bool thinned = thin_spans(false);
  return tend_huge_pages() != 0 || thinned || dirty_bytes() != 0;
}

void run() noexcept {
  ::prctl(PR_SET_NAME, "tenure");
  __atomic_store_n(&thread_state, running, __ATOMIC_RELEASE);
  std::uint32_t clock = 0;
  unsigned idle_looks = 0;
  for (;;) {
    const std::uint64_t part_ns = decay_ns() / looks_in_decay;
    const std::uint64_t step_ns = part_ns < nanoseconds_per_millisecond ? nanoseconds_per_millisecond : part_ns;
    os::futex_wait(&clock, 0, step_ns);
    idle_looks = look_after() ? 0 : idle_looks + 1;
    if (idle_looks < looks_before_sleep) continue;
    idle_looks = 0;
    __atomic_store_n(&thread_state, asleep, __ATOMIC_RELEASE);
    while (__atomic_load_n(&thread_state, __ATOMIC_ACQUIRE) == asleep) os::futex_wait(&thread_state, asleep, 0);
  }
}

// Without the thread: now and then, on whoever comes by.
void return_inline() noexcept {
  const std::uint64_t now_ns = os::coarse_monotonic_ns();
  const std::uint64_t last_ns = __atomic_load_n(&last_return_ns, __ATOMIC_RELAXED);
  if (now_ns - last_ns < decay_ns() / looks_in_decay) return;
  if (__atomic_exchange_n(&is_returning_inline, 1, __ATOMIC_ACQUIRE) != 0) return;
  __atomic_store_n(&last_return_ns, now_ns, __ATOMIC_RELAXED);
  {
    const busy_section entered(hot);
    look_after();
  }
  __atomic_store_n(&is_returning_inline, 0, __ATOMIC_RELEASE);
}

}  // namespace

void wake_background() noexcept {
  const std::uint32_t state = __atomic_load_n(&thread_state, __ATOMIC_ACQUIRE);
  if (likely(state == running || state == starting)) return;
  if (state == asleep) {
    std::uint32_t expected = asleep;
    if (__atomic_compare_exchange_n(&thread_state, &expected, running, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      os::futex_wake(&thread_state, 1);
    }
    return;
  }
  if (hot.busy) {
    // Starting a thread allocates and returning pages takes time: when the slow path has let its lock go.
    hot.pages_due = true;
    return;
  }
  if (state == impossible || value(option::background) == 0) return return_inline();
  if (!__atomic_load_n(&allowed, __ATOMIC_ACQUIRE)) return;
  if (dirty_bytes() < least_dirty_bytes && used_bytes() < notable_heap_bytes) return;
  std::uint32_t expected = not_started;
  if (!__atomic_compare_exchange_n(&thread_state, &expected, starting, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    return;
  }
  if (!os::start_bare_thread(run, stack_bytes, &hot)) __atomic_store_n(&thread_state, impossible, __ATOMIC_RELEASE);
}

void forget_background_after_fork() noexcept {
  __atomic_store_n(&thread_state, not_started, __ATOMIC_RELEASE);
  __atomic_store_n(&is_returning_inline, 0, __ATOMIC_RELEASE);
}
void allow_background() noexcept { __atomic_store_n(&allowed, true, __ATOMIC_RELEASE); }
void forbid_background() noexcept { __atomic_store_n(&allowed, false, __ATOMIC_RELEASE); }

}  // namespace tenure::core
