// A barrier on every running thread of the process, so that the other side needs none on its fast path.
#pragma once

namespace tenure::os {

// After it returns, each other thread has executed a full memory barrier since it was called. One system call; where
// the kernel has none (before 4.14), a barrier of the calling thread, which is enough on x86-64.
void process_barrier() noexcept;

}  // namespace tenure::os
