// Stacks without frame pointers: our own unwinder over .eh_frame.
//
// A rule (how to find the caller's frame from an instruction address) is parsed once from .eh_frame and kept in a cache
// that all threads share and none locks. A walk takes no lock, calls no allocator and may run inside malloc, in a
// signal handler or during dlopen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::telemetry {

enum class walk_end : std::uint32_t { complete = 0, limit = 1, no_rule = 2 };

struct walk_result {
  std::uint32_t frame_count;
  walk_end end;
};

// Return addresses of the calling thread's stack, innermost first, without the capture's own frame; `skip` leaves out
// that many more. At most `capacity`. Cost: see bench/micro; a few ns a frame once the rules are cached.
walk_result capture_stack(std::uint64_t* frames, std::size_t capacity, std::size_t skip) noexcept;

// The same from registers saved elsewhere (a signal handler's ucontext, a test).
struct start_registers {
  std::uint64_t instruction, stack, frame;
};
walk_result walk_stack(const start_registers& from, std::uint64_t* frames, std::size_t capacity) noexcept;

// After dlclose or dlopen: rules of code that may have been replaced are forgotten.
void forget_rules() noexcept;

}  // namespace tenure::telemetry
