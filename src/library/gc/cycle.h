// What the cycles of all heaps share: the phase, the handshake, the pointers that threads shaded.
//
// One cycle at a time in a process; it runs in whatever thread holds the cycle lock. The handshake asks nothing of a
// thread: after a membarrier, which makes what each thread did before visible, it waits until each has been seen
// outside of an operation (a few instructions long, and no system call in it). A thread that sleeps in the kernel or
// computes is outside of one. No thread waits for the handshake.
#pragma once

#include <atomic>
#include <cstdint>

#include <tenure/gc/detail/runtime.hpp>

#include "library/gc/heap_state.h"
#include "library/gc/lock.h"
#include "library/gc/threads.h"

namespace tenure::gc {

using detail::phase;

lock& cycle_lock() noexcept;
// Weak references of objects not marked yet are locked under it while a cycle marks, and marking ends under it.
lock& weak_gate() noexcept;

// The heap whose cycle marks or resolves; null: none.
heap_state* active_heap() noexcept;
void set_active_heap(heap_state* heap) noexcept;

inline phase current_phase() noexcept {
  return static_cast<phase>(detail::barrier.phase.load(std::memory_order_acquire));
}
void set_phase(phase to) noexcept;  // and wakes who waits for the end of `stopped`
void wait_while_stopped() noexcept;

// All that any thread did before is visible to this one after; all that this one did before is visible to them.
void process_barrier() noexcept;
// Each thread has been outside of an operation since the call.
void handshake() noexcept;
// Whether, at this moment and with a process barrier just before, no thread is in an operation and nothing is shaded.
bool is_quiescent() noexcept;

// Has the target marked, if it lies in the active heap and is not. In an operation, with the phase not idle.
void shade(thread_state& self, void* target, phase now) noexcept;
// Past the ring: it is full, or its thread ends.
void leave_shaded(void* target) noexcept;
lock& shades_lock() noexcept;
// Whether one was lost because there was no memory to remember it by; clears it.
bool take_lost_shade() noexcept;
// Takes all shaded pointers: visit(void* target).
template <class Visit>
bool take_shaded(Visit visit);
void* take_left() noexcept;

// The calling thread stops all others that store, and is not stopped itself.
class stopped_world {
 public:
  explicit stopped_world(heap_state* heap) noexcept;
  ~stopped_world();
  stopped_world(const stopped_world&) = delete;
  stopped_world& operator=(const stopped_world&) = delete;

 private:
  heap_state* heap_;
  std::uint32_t before_;
  std::uint64_t since_ns_;
};

std::uint64_t monotonic_ns() noexcept;
std::uint64_t thread_processor_ns() noexcept;

template <class Visit>
bool take_shaded(Visit visit) {
  bool any = false;
  {
    const holding guard(threads_lock());
    for (thread_state* at = first_thread(); at != nullptr; at = at->next) {
      while (void* target = at->ring.take()) {
        visit(target);
        any = true;
      }
    }
  }
  while (void* target = take_left()) {
    visit(target);
    any = true;
  }
  return any;
}

}  // namespace tenure::gc
