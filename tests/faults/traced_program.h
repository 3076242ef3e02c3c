// Runs a program and lets the kernel's memory calls fail on demand, from outside: the program is traced, and at its
// n-th mmap, mprotect, madvise, mremap, munmap or brk the call is taken away and ENOMEM put in its place. So the heap
// is met by what a real kernel does, wherever in it the call is made, from its very first instruction.
//
// A program says from when to when calls count by two marks: refusal_mark(true) and refusal_mark(false).
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace tenure::testing {

inline constexpr long mark_begin = 0x7e4a0001;
inline constexpr long mark_end = 0x7e4a0002;

// In the traced program. A system call that does nothing, with an argument that the tracer knows.
inline void refusal_mark(bool begin) { syscall(SYS_getpriority, begin ? mark_begin : mark_end, 0); }

struct refusal_plan {
  unsigned long first = 1;      // the first call that is refused, counted from 1
  unsigned long calls = 1;      // how many are; at most that many
  bool from_the_start = false;  // count from the program's first instruction, without a mark
};

struct refusal_outcome {
  bool traced = false;              // false: this kernel or container does not let us trace
  int code = -1;                    // exit code, or 1000 + signal
  unsigned long counted_calls = 0;  // memory calls while counting
  unsigned long refused_calls = 0;
};

refusal_outcome run_with_refusals(const std::vector<std::string>& command, const refusal_plan& plan);

}  // namespace tenure::testing
