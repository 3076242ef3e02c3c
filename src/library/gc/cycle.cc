#include "library/gc/cycle.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/base/check.h"
#include "core/base/yield_point.h"

namespace tenure::gc {

namespace {

lock cycles;
lock gate;
std::atomic<heap_state*> active{nullptr};
std::atomic<std::uint32_t> handshakes{0};
std::atomic<std::uint64_t> handshakes_ns{0};

int verifying = 0;  // heaps; guarded by the cycle lock

std::atomic<std::uint64_t> shades{0};
std::atomic<bool> overflow{false};  // blocks have what is shaded and in no ring

bool barrier_by_kernel() noexcept {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return true;
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
         ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

[[noreturn]] void reject(const void* target, const char* what) noexcept {
  std::fprintf(stderr, "tenure: a gc pointer to %p was stored, which is %s\n", target, what);
  std::abort();
}

}  // namespace

lock& cycle_lock() noexcept { return cycles; }
lock& weak_gate() noexcept { return gate; }
std::uint64_t handshake_count() noexcept { return handshakes.load(std::memory_order_relaxed); }
std::uint64_t handshake_ns() noexcept { return handshakes_ns.load(std::memory_order_relaxed); }
std::uint64_t shade_count() noexcept { return shades.load(std::memory_order_acquire); }
heap_state* active_heap() noexcept { return active.load(std::memory_order_acquire); }
void set_active_heap(heap_state* heap) noexcept { active.store(heap, std::memory_order_release); }

void set_phase(phase to) noexcept {
  TENURE_YIELD_POINT();
  const phase before = current_phase();
  const std::uint32_t verified = verifying == 0 ? 0 : detail::stores_are_verified;
  detail::barrier.phase.exchange(static_cast<std::uint32_t>(to) | verified, std::memory_order_seq_cst);
  if (before == phase::stopped) detail::barrier.phase.notify_all();
}

void verify_stores(bool on) noexcept {
  verifying += on ? 1 : -1;
  set_phase(current_phase());
}

void verify_stored(const void* target) noexcept {
  const window& all = window::get();
  if (!all.holds(target)) reject(target, "not managed");
  if (!all.is_allocated(all.place(target))) reject(target, "free: a raw pointer outlived what it pointed to");
}

void wait_while_stopped() noexcept {
#ifdef TENURE_SYSTEMATIC
  while (current_phase() == phase::stopped) TENURE_YIELD_POINT();
#else
  const std::uint32_t seen = detail::barrier.phase.load(std::memory_order_acquire);
  if (static_cast<phase>(seen & ~detail::stores_are_verified) == phase::stopped) {
    detail::barrier.phase.wait(seen, std::memory_order_acquire);
  }
#endif
}

void process_barrier() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  TENURE_CHECK(barrier_by_kernel());
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void handshake() noexcept {
  TENURE_YIELD_POINT();
  const std::uint64_t before_ns = monotonic_ns();
  process_barrier();
  const std::uint32_t number = handshakes.fetch_add(1) + 1;
  for (unsigned round = 0;; ++round) {
    bool all = true;
    {
      const holding guard(threads_lock());
      for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
        if (at->passed == number) continue;
        const std::uint32_t operations = at->operations.load(std::memory_order_acquire);
        const bool is_another = at->asked == number && operations != at->operations_then;
        if (operations % 2 == 0 || is_another) {
          at->passed = number;
          ++at->handshakes;
          continue;
        }
        at->asked = number;
        at->operations_then = operations;
        all = false;
      }
    }
    if (all) break;
    back_off(round);
  }
  handshakes_ns.fetch_add(monotonic_ns() - before_ns, std::memory_order_relaxed);
}

void shade(thread_state& self, void* target, phase now) noexcept {
  window& all = window::get();
  if (!all.holds(target)) reject(target, "not managed");
  const cell_place at = all.place(target);
  heap_state* heap = active_heap();
  if (heap == nullptr || at.header->heap_number != heap->number) return;
  if (at.is_alive()) return;
  if (now == phase::resolving) reject(target, "dead: a raw pointer outlived what it pointed to");
  if ((at.marks->shaded.load(std::memory_order_relaxed) & at.bit) != 0) return;
  TENURE_GC_STEP();
  if ((at.marks->shaded.fetch_or(at.bit, std::memory_order_acq_rel) & at.bit) != 0) return;
  TENURE_GC_STEP();
  shades.fetch_add(1, std::memory_order_acq_rel);
  if (!self.ring.push(target)) leave_shaded(at);
}

void leave_shaded(const cell_place& at) noexcept {
  at.header->has_shaded.store(true, std::memory_order_release);
  TENURE_GC_STEP();
  overflow.store(true, std::memory_order_release);
}

bool take_overflow() noexcept { return overflow.exchange(false, std::memory_order_acq_rel); }

stopped_world::stopped_world(heap_state* heap) noexcept
    : heap_(heap), before_(current_phase()), since_ns_(monotonic_ns()) {
  this_thread().stopper = true;
  set_phase(phase::stopped);
  handshake();
}

stopped_world::~stopped_world() {
  this_thread().stopper = false;
  const std::uint64_t stop_ns = monotonic_ns() - since_ns_;
  if (heap_ != nullptr) {
    heap_->figures.stopped_ns.fetch_add(stop_ns, std::memory_order_relaxed);
    heap_->figures.longest_stop_ns.store(std::max(heap_->figures.longest_stop_ns.load(), stop_ns));
  }
  set_phase(before_);
}

namespace {

std::uint64_t now_ns(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t monotonic_ns() noexcept { return now_ns(CLOCK_MONOTONIC); }
std::uint64_t thread_processor_ns() noexcept { return now_ns(CLOCK_THREAD_CPUTIME_ID); }
std::uint64_t process_processor_ns() noexcept { return now_ns(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace tenure::gc
