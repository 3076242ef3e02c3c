// Stopped threads: every other thread of the process held still for a moment, its registers where they can be read.
//
//   caller    lists /proc/self/task ─► a signal to each ─► waits until all have answered, and lists again ─► ...
//   let_go() thread    handler: says where its stack and registers are ─► sleeps ─► returns to where it was
//
// The signal is the one that the C library keeps for itself (setuid() and its kin are carried out by it): no program
// blocks it, handles it or waits for it. It is told apart from the library's own by what it carries, and those are
// handed on. System calls that a signal ends early, such as poll() and nanosleep(), return EINTR.
//
// The caller must hold no lock that a thread needs to be able to answer: none does, the handler takes no lock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::os {

struct stopped_thread {
  std::uint32_t id;               // the kernel's
  std::uint32_t state;            // atomic; 0: not answered yet
  std::uintptr_t stack_pointer;   // where it was interrupted
  std::uintptr_t thread_pointer;  // its control block
  std::uintptr_t saved_begin;     // its registers, as the kernel has put them on its stack or signal stack
  std::uintptr_t saved_end;
};

struct stop_outcome {
  bool is_listed;           // false: nobody knows which threads there are, and none was stopped
  std::uint32_t unstopped;  // that have not answered in time, or were too many to be asked
};

// One caller at a time. A thread that does not answer within patience_ns runs on.
stop_outcome stop_other_threads(std::uint64_t patience_ns) noexcept;
// They run on.
void let_threads_go() noexcept;

// Of the last stop; those that have not answered have no stack pointer.
std::size_t stopped_thread_count() noexcept;
const stopped_thread& stopped_thread_at(std::size_t index) noexcept;

// A copy of the process with the calling thread alone, made without the C library: no handler runs, in the copy all
// signals stay blocked, and the parent gets none when it ends. As fork(): 0 in the child; negative when refused.
long copy_process() noexcept;
// Waits for such a child. True when it has ended with 0.
bool wait_for_copy(long child) noexcept;

}  // namespace tenure::os
