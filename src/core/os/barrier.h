// A barrier on every running thread of the process, so that the other side needs none on its fast path.
#pragma once

#include <cstdint>

namespace tenure::os {

// After it returns, each other thread has executed a full memory barrier since it was called. One system call. Where
// the kernel has none (before 4.14) or refuses it, only the calling thread has; then process_barrier_missing() says so,
// and the other side must bring a barrier of its own.
void process_barrier() noexcept;

// Finds out whether the kernel has it. Until then it counts as missing.
void prepare_process_barrier() noexcept;

extern std::uint32_t process_barrier_state __attribute__((visibility("hidden")));  // 0 missing, 1 there
inline bool process_barrier_missing() noexcept {
  return __atomic_load_n(&process_barrier_state, __ATOMIC_RELAXED) == 0;
}

}  // namespace tenure::os
