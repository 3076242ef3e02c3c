// What depends on the architecture in this room: how a control block begins that the C library has not made, how a
// thread ends that stands on memory of ours, and what the kernel leaves where a signal came.
#pragma once

#include <sys/syscall.h>
#include <ucontext.h>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tenure::os {

// Makes the zeroed memory at the thread pointer `made` the control block of a new thread, after the pattern of the
// calling thread's. On aarch64 compiled code finds its variables from the pointer alone, and zero is a good beginning.
inline void begin_control_block([[maybe_unused]] char* made, [[maybe_unused]] const char* own) noexcept {
#if defined(__x86_64__)
  // The head of the control block: its own address twice, and the guards that compiled code compares with.
  constexpr std::size_t head_bytes = 64;
  std::memcpy(made, own, head_bytes);
  auto** words = reinterpret_cast<char**>(made);
  words[0] = words[2] = made;
  words[1] = nullptr;  // no dynamic thread-local storage
#endif
}

inline std::uintptr_t interrupted_stack_pointer(const ucontext_t& context) noexcept {
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return context.uc_mcontext.sp;
#else
#error "Tenure runs on x86-64 and aarch64."
#endif
}

// What a function may use below its stack pointer: x86-64's ABI says so, and elsewhere it is no harm.
inline constexpr std::uintptr_t red_zone_bytes = 128;

// What a signal handler returns to. On aarch64 the kernel brings its own.
#if defined(__x86_64__)
[[gnu::naked]] inline void return_from_handler() noexcept {
  asm("mov $15, %rax\n\tsyscall");  // SYS_rt_sigreturn, as debuggers know it
}
#else
inline constexpr void (*return_from_handler)() = nullptr;
#endif

// Where the control block at a thread pointer keeps the vector of the thread's dynamic thread-local blocks.
inline std::uintptr_t vector_of_locals(std::uintptr_t thread_pointer) noexcept {
#if defined(__x86_64__)
  return thread_pointer + 8;
#else
  return thread_pointer;
#endif
}

// How far the C library's control block of a thread reaches before and behind the thread pointer, at the most.
#if defined(__x86_64__)
inline constexpr std::uintptr_t control_block_before_bytes = 0, control_block_behind_bytes = 2304;
#else
inline constexpr std::uintptr_t control_block_before_bytes = 2304, control_block_behind_bytes = 16;
#endif

// Whether a control block may lie here, alive or left behind: on x86-64 it holds its own address twice.
inline bool looks_like_control_block([[maybe_unused]] const std::uintptr_t* words) noexcept {
#if defined(__x86_64__)
  const auto own = reinterpret_cast<std::uintptr_t>(words);
  return words[0] == own && words[2] == own;
#else
  return false;
#endif
}

// Clears the vector registers that a function may use without saving them. What has been copied through them stays
// there for long, and is found by whoever looks into the registers of the thread.
[[gnu::noinline]] inline void clear_vector_registers() noexcept {
#if defined(__x86_64__)
  asm volatile(
      "pxor %%xmm0, %%xmm0\n\tpxor %%xmm1, %%xmm1\n\tpxor %%xmm2, %%xmm2\n\tpxor %%xmm3, %%xmm3\n\t"
      "pxor %%xmm4, %%xmm4\n\tpxor %%xmm5, %%xmm5\n\tpxor %%xmm6, %%xmm6\n\tpxor %%xmm7, %%xmm7\n\t"
      "pxor %%xmm8, %%xmm8\n\tpxor %%xmm9, %%xmm9\n\tpxor %%xmm10, %%xmm10\n\tpxor %%xmm11, %%xmm11\n\t"
      "pxor %%xmm12, %%xmm12\n\tpxor %%xmm13, %%xmm13\n\tpxor %%xmm14, %%xmm14\n\tpxor %%xmm15, %%xmm15" ::
          : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
            "xmm13", "xmm14", "xmm15");
#elif defined(__aarch64__)
  asm volatile(
      "movi v0.2d, #0\n\tmovi v1.2d, #0\n\tmovi v2.2d, #0\n\tmovi v3.2d, #0\n\t"
      "movi v4.2d, #0\n\tmovi v5.2d, #0\n\tmovi v6.2d, #0\n\tmovi v7.2d, #0\n\t"
      "movi v16.2d, #0\n\tmovi v17.2d, #0\n\tmovi v18.2d, #0\n\tmovi v19.2d, #0\n\t"
      "movi v20.2d, #0\n\tmovi v21.2d, #0\n\tmovi v22.2d, #0\n\tmovi v23.2d, #0\n\t"
      "movi v24.2d, #0\n\tmovi v25.2d, #0\n\tmovi v26.2d, #0\n\tmovi v27.2d, #0\n\t"
      "movi v28.2d, #0\n\tmovi v29.2d, #0\n\tmovi v30.2d, #0\n\tmovi v31.2d, #0" ::
          : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
            "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
#endif
}

// Gives the memory that the calling thread stands on back, and ends the thread.
[[noreturn]] inline void unmap_and_end(void* memory, std::size_t bytes) noexcept {
#if defined(__x86_64__)
  register long first asm("rdi") = reinterpret_cast<long>(memory);
  register long second asm("rsi") = static_cast<long>(bytes);
  asm volatile("syscall\n\tmov %[end], %%eax\n\txor %%edi, %%edi\n\tsyscall" ::"a"(SYS_munmap), "r"(first),
               "r"(second), [end] "i"(SYS_exit)
               : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long first asm("x0") = reinterpret_cast<long>(memory);
  register long second asm("x1") = static_cast<long>(bytes);
  register long call asm("x8") = SYS_munmap;
  asm volatile("svc #0\n\tmov x8, %[end]\n\tmov x0, #0\n\tsvc #0" ::"r"(first), "r"(second),
               "r"(call), [end] "i"(SYS_exit)
               : "memory");
#endif
  __builtin_unreachable();
}

}  // namespace tenure::os
