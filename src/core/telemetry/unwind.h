// Stacks without frame pointers: our own unwinder over .eh_frame.
//
//   address -> rule_cache -> rule -> CFA, return address, frame pointer -> next address
//                 | miss
//              module (whose code) -> frame_table (which entry) -> frame_program (what rule)
//
// A rule (how to find the caller's frame from an instruction address) is parsed once from .eh_frame and kept in a cache
// that all threads share and none locks. A walk takes no lock, calls no allocator and may run inside malloc, in a
// signal handler or during dlopen. It reads the stack only where it knows that it may, climbs only upwards, and where
// it has no rule it ends: a frame is never guessed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::telemetry {

enum class walk_end : std::uint32_t {
  complete = 0,  // the first function of the thread was reached
  limit = 1,     // there is more than `capacity`
  no_rule = 2,   // the last address given has no unwind information, or it leads nowhere
};

struct walk_result {
  std::uint32_t frame_count;
  walk_end end;
};

// Return addresses of the calling thread's stack, innermost first, without the capture's own frame; `skip` leaves out
// that many more. At most `capacity`. Cost: see bench/micro; a few ns a frame once the rules are cached.
walk_result capture_stack(std::uint64_t* frames, std::size_t capacity, std::size_t skip) noexcept;

// The same from registers saved elsewhere (a signal handler's ucontext, a test). The first address is
// `from.instruction` itself, the others are return addresses; so is the one below a signal handler's trampoline: the
// interrupted instruction.
struct start_registers {
  std::uint64_t instruction, stack, frame;
  std::uint64_t link = 0;  // the return address register, on machines that have one
};
walk_result walk_stack(const start_registers& from, std::uint64_t* frames, std::size_t capacity) noexcept;

// Where a function is to return to, as long as it has not returned: what a walk that begins in its caller needs.
struct caller_place {
  std::uint64_t stack;        // the caller's stack pointer at the call: the CFA of the function
  std::uint64_t return_slot;  // where the return address lies
  std::uint64_t frame_slot;   // where the caller's frame pointer lies
};

// Of the function that this is inlined into, which keeps a frame pointer for it. It is handed on by reference: a call
// that is given the address of a local is never made a jump, which would leave the frame behind.
[[gnu::always_inline]] inline caller_place own_caller() noexcept {
  const auto frame = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  return {reinterpret_cast<std::uint64_t>(__builtin_dwarf_cfa()), frame + sizeof frame, frame};
}

// After dlclose or dlopen: rules of code that may have been replaced are forgotten.
void forget_rules() noexcept;

// Memory mapped for rules beyond the static tables.
std::size_t unwind_memory_bytes() noexcept;

// Whether the cache of rules is whole; ends the program where it is not.
void check_unwind() noexcept;

}  // namespace tenure::telemetry
