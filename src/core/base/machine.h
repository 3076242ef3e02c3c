// What depends on the architecture in this room: the hint to the processor that a thread is waiting in a loop.
#pragma once

namespace tenure::core {

// Between two looks at a word that another thread will change.
[[gnu::always_inline]] inline void relax_processor() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tenure::core
