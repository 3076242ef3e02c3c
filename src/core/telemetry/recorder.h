// The recorder: tells every allocation and free of the process, while it is told to.
//
//   heap slow path ─► is_recording()? ─► tell_allocation ─► known_stack (which stack) ─► ring of the thread in the tape
//
// While it is on, the heap keeps its fast paths empty, so that each malloc and free comes by here; while it is off, the
// heap's slow paths pay one load. What is switched: the `recording` word of the control page, by the command at any
// time, and at start by the session's wishes (wire/region.h); where nobody watches, the process's bell (attachment.h).
// A thread is recorded from its next slow path on.
//
// A free tells its stack only where that is wished for: it costs as much as that of an allocation. A stack begins in
// the caller of the heap's function, so the heap's own frames are not in it as far as that function has no others.
//
// A record that finds its ring full waits for the reader or is counted as lost, by the mode. Nobody waits for a reader
// that has not been seen for two seconds.
//
// Each function may be called from any thread at any time, inside malloc. A signal handler that allocates while its own
// thread is in here loses its records, counted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/telemetry/unwind.h"
#include "wire/event.h"
#include "wire/region.h"

namespace tenure::telemetry {

extern const std::uint32_t* current_switch;  // atomic; of the region's control page, of the process's own, or its bell

// The switch says more than on or off. Whether the process records.
[[gnu::cold]] bool follow_switch() noexcept;

inline bool is_recording() noexcept {
  const std::uint32_t* word = __atomic_load_n(&current_switch, __ATOMIC_RELAXED);
  const std::uint32_t now = __atomic_load_n(word, __ATOMIC_RELAXED);
  if (__builtin_expect(now == 0, 1)) return false;
  return now < wire::control_copy || follow_switch();
}

// A block that was just had, by the bytes that were asked for; before anybody else can know of it. The stack is that
// from `caller` outward: own_caller() of a function of the heap.
void tell_allocation(const void* block, std::size_t bytes, wire::allocation_entry entry,
                     const caller_place& caller) noexcept;
// A block that is about to be given up; while nobody else can get it.
void tell_free(const void* block, const caller_place& caller) noexcept;
// Every block in [begin, begin + bytes) is about to go: a named heap is destroyed.
void tell_free_range(std::uintptr_t begin, std::size_t bytes, const caller_place& caller) noexcept;

// The calling thread ends: its ring will serve another. What it tells after that goes through a ring that all such
// threads share.
void end_thread_recording() noexcept;

// In the child of fork: the parent's tape is left, and one of its own will be opened with the next record.
void leave_tape_after_fork() noexcept;

// Of a process that is left (attachment.h) and records no more: takes the tape away if no thread is at it, and says
// whether that was so. Never waits.
bool close_tape() noexcept;

// Before code is unloaded: its addresses will mean something else.
void forget_recorded_stacks() noexcept;

// Whether rings and stacks are whole; ends the program where they are not.
void check_recorder() noexcept;

}  // namespace tenure::telemetry
