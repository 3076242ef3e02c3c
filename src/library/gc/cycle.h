// What the cycles of all heaps share: the phase, the handshake, the pointers that threads shaded.
//
// One cycle at a time in a process; it runs in whatever thread holds the cycle lock. The handshake asks nothing of a
// thread: after a membarrier, which makes what each thread did before visible, it waits until each has been seen
// outside of an operation. Those are a few instructions long, but for taking a block's cells and making a large object,
// which may wait for a lock and ask the kernel for memory. A thread that sleeps in the kernel or computes for the
// program is outside of one. No thread waits for the handshake.
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
// Held while the layout of a type is learned from its first object.
lock& learning_lock() noexcept;

// The heap whose cycle marks or resolves; null: none.
heap_state* active_heap() noexcept;
void set_active_heap(heap_state* heap) noexcept;

inline phase current_phase() noexcept {
  return static_cast<phase>(detail::barrier.phase.load(std::memory_order_acquire) & ~detail::stores_are_verified);
}
void set_phase(phase to) noexcept;  // and wakes who waits for the end of `stopped`
void wait_while_stopped() noexcept;
// From now on, or no longer, each pointer that is stored is looked at: one more, or one fewer, heap verifies. With the
// cycle lock held.
void verify_stores(bool on) noexcept;
// Ends the program with a message when nothing is at `target`, or when it is not managed.
void verify_stored(const void* target) noexcept;

// All that any thread did before is visible to this one after; all that this one did before is visible to them.
void process_barrier() noexcept;
// How many handshakes there were, ever, and how long they took, since they may have to wait for operations to end.
std::uint64_t handshake_count() noexcept;
std::uint64_t handshake_ns() noexcept;
// Each thread has been outside of an operation since the call: seen outside of one, or in another than before.
void handshake() noexcept;

// Has the target marked, if it lies in the active heap and is not. In an operation, with the phase not idle. An object
// is shaded once in a cycle, whoever stores it and however often: otherwise threads could shade faster than the marker
// takes, and it would never come to marking.
void shade(thread_state& self, void* target, phase now) noexcept;
// How many objects have been shaded, ever.
std::uint64_t shade_count() noexcept;
// Past the ring, which is full or whose thread ends: found by its bit. The object has been shaded.
void leave_shaded(const cell_place& at) noexcept;
// Takes all shaded objects of the active heap: visit(void* cell or into it). True when there was one.
template <class Visit>
bool take_shaded(heap_state& heap, Visit visit);
bool take_overflow() noexcept;

// The calling thread stops all others that store, and is not stopped itself.
class stopped_world {
 public:
  explicit stopped_world(heap_state* heap) noexcept;
  ~stopped_world();
  stopped_world(const stopped_world&) = delete;
  stopped_world& operator=(const stopped_world&) = delete;

 private:
  heap_state* heap_;
  phase before_;
  std::uint64_t since_ns_;
};

std::uint64_t monotonic_ns() noexcept;
std::uint64_t thread_processor_ns() noexcept;
std::uint64_t process_processor_ns() noexcept;

template <class Visit>
bool take_shaded(heap_state& heap, Visit visit) {
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
  if (!take_overflow()) return any;
  window& all = window::get();
  all.for_each_block(heap.number, [&](std::size_t block, block_header& header) {
    if (!header.has_shaded.exchange(false, std::memory_order_acq_rel)) return;
    any = true;
    for (std::size_t word = 0; word * 64 < header.cell_count; ++word) {
      const mark_words& marks = all.bits(block).marks[word];
      const std::uint64_t left = marks.shaded.load(std::memory_order_acquire) & ~marks.alive();
      all.for_each_cell(block, word, left, [&](std::uint64_t, char* cell) { visit(cell); });
    }
  });
  return any;
}

}  // namespace tenure::gc
