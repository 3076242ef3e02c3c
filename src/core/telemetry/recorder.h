// The recorder: tells every allocation and free of the process, while it is told to.
//
//   heap slow path ─► is_recording()? ─► tell_allocation ─► known_stack (which stack) ─► ring of the thread in the tape
//
// While it is on, the heap keeps its fast paths empty, so that each malloc and free comes by here; while it is off, the
// heap's slow paths pay one load. What is switched: the `recording` word of the control page, by the command at any
// time, and at start by the session's wishes (wire/region.h). A thread is recorded from its next slow path on.
//
// A record that finds its ring full waits for the reader or is counted as lost, by the mode. Nobody waits for a reader
// that has not been seen for two seconds.
//
// Each function may be called from any thread at any time, inside malloc. A signal handler that allocates while its own
// thread is in here loses its records, counted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/event.h"
#include "wire/region.h"

namespace tenure::telemetry {

extern wire::control_page* current_control;  // atomic; the region's, or the process's own

inline bool is_recording() noexcept {
  const wire::control_page* control = __atomic_load_n(&current_control, __ATOMIC_RELAXED);
  return __builtin_expect(__atomic_load_n(&control->recording, __ATOMIC_RELAXED) != 0, 0);
}

// A block that was just had, by the bytes that were asked for; before anybody else can know of it.
void tell_allocation(const void* block, std::size_t bytes, wire::allocation_entry entry) noexcept;
// A block that is about to be given up; while nobody else can get it.
void tell_free(const void* block) noexcept;
// Every block in [begin, begin + bytes) is about to go: a named heap is destroyed.
void tell_free_range(std::uintptr_t begin, std::size_t bytes) noexcept;

// The calling thread ends: its ring will serve another. What it tells after that goes through a ring that all such
// threads share.
void end_thread_recording() noexcept;

// In the child of fork: the parent's tape is left, and one of its own will be opened with the next record.
void leave_tape_after_fork() noexcept;

// Before code is unloaded: its addresses will mean something else.
void forget_recorded_stacks() noexcept;

// Whether rings and stacks are whole; ends the program where they are not.
void check_recorder() noexcept;

}  // namespace tenure::telemetry
