// The threads that have used a managed pointer, and what the collector reads of each while it runs.
//
//   thread_state   [ thread_record | segments of root slots | ring of shaded pointers ]
//
// A thread gets its record when it first needs one and loses it when it ends; no call asks for it. The ring has one
// writer, the thread, and one reader, the collector.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <tenure/gc/detail/runtime.hpp>

#include "library/gc/entries.h"
#include "library/gc/lock.h"
#include "library/gc/samples.h"

namespace tenure::gc {

using detail::root_slot;

// Root slots in a row. slots[0] is a hole where a segment comes before, so that pop() notices the border.
struct slot_segment {
  static constexpr std::size_t size_bytes = 64 * 1024;
  static constexpr std::size_t slot_count = (size_bytes - 2 * sizeof(void*)) / sizeof(root_slot);

  slot_segment* before;
  std::atomic<slot_segment*> after;
  root_slot slots[slot_count];

  root_slot* first() noexcept { return slots + 1; }
  root_slot* end() noexcept { return slots + slot_count; }
  bool holds(const root_slot* at) const noexcept { return at > slots && at < slots + slot_count; }
};

// Pointers whose targets a thread has stored while they were not marked, on their way to the marker.
class shade_ring {
 public:
  static constexpr std::size_t capacity = 256;

  // False when it is full.
  bool push(void* target) noexcept {
    const std::uint32_t at = head_.load(std::memory_order_relaxed);
    if (at - tail_.load(std::memory_order_acquire) == capacity) return false;
    entries_[at % capacity].store(target, std::memory_order_relaxed);
    head_.store(at + 1, std::memory_order_release);
    return true;
  }
  // Null when it is empty.
  void* take() noexcept {
    const std::uint32_t at = tail_.load(std::memory_order_relaxed);
    if (at == head_.load(std::memory_order_acquire)) return nullptr;
    void* target = entries_[at % capacity].load(std::memory_order_relaxed);
    tail_.store(at + 1, std::memory_order_release);
    return target;
  }

 private:
  std::atomic<std::uint32_t> head_{0};
  std::atomic<std::uint32_t> tail_{0};
  std::atomic<void*> entries_[capacity] = {};
};

struct thread_state : detail::thread_record {
  thread_state() noexcept : thread_record(detail::unregistered_thread.heaps[0]) {}

  thread_state* next = nullptr;
  long id = 0;  // the kernel's
  slot_segment* first_segment = nullptr;
  std::atomic<slot_segment*> segment{nullptr};  // where `top` is
  shade_ring ring;
  sample_clock samples;  // of the thread itself
  lock entries_lock;     // guards `entries` against who reads them; taken by the thread alone but then
  entry_figures entries;
  // Guarded by threads_lock(): the last handshake that looked at it and what it read; the last that is done with it.
  std::uint32_t asked = 0;
  std::uint32_t operations_then = 0;
  std::uint32_t passed = 0;
  std::uint64_t handshakes = 0;  // that it was passed in
  bool stopper = false;          // runs a cycle: what stops others does not stop it
};

// Guards the list of threads and what is added to a record: segments, a heap's runs.
lock& threads_lock() noexcept;
thread_state* first_thread() noexcept;  // with the lock held

// The calling thread's state, registered if it was not. Ends the program with a message when there is no memory for it.
thread_state& this_thread() noexcept;

// The same; null when there is no memory for it.
thread_state* find_or_register_thread() noexcept;
// The same; throws std::bad_alloc.
thread_state& registered_thread();
// For a thread that is about to be made, so that whoever makes it is told when there is no memory; null then.
thread_state* make_thread() noexcept;
void unmake_thread(thread_state* made) noexcept;
// The calling thread, which has none, has that state.
void adopt(thread_state& made) noexcept;

// Where the thread's slots are at an end it goes on to the next segment. False when there is no memory for one.
bool reach_next_segment(thread_state& self) noexcept;

// Each slot that may hold a pointer, with the lock held: visit(void* target).
template <class Visit>
void for_each_slot(const thread_state& of, Visit visit) {
  slot_segment* last = of.segment.load(std::memory_order_acquire);
  const root_slot* top = of.top.load(std::memory_order_acquire);
  for (slot_segment* at = of.first_segment; at != nullptr; at = at->after.load(std::memory_order_acquire)) {
    // The thread may have gone on to another segment since: what it has put there is published.
    const root_slot* end = at == last && at->holds(top) ? top : at->end();
    for (const root_slot* each = at->first(); each < end; ++each) {
      void* target = each->load(std::memory_order_acquire);
      if (target != nullptr && target != detail::hole) visit(target);
    }
    if (at == last) break;
  }
}

// In the child of a fork: all other threads are gone.
void forget_other_threads() noexcept;

}  // namespace tenure::gc
