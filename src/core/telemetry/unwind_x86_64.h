// What of the unwinder depends on x86-64: register numbers of its DWARF mapping, where compact rules find the return
// address, and how a function reads its own registers.
#pragma once

#include <cstdint>

#include "core/telemetry/unwind.h"
#include "core/telemetry/unwind_rule.h"

namespace tenure::telemetry::machine {

inline constexpr std::uint64_t frame_register = 6;    // rbp
inline constexpr std::uint64_t stack_register = 7;    // rsp
inline constexpr std::uint64_t return_register = 16;  // the column of the return address; rip in expressions
inline constexpr bool has_link_register = false;

// A call has pushed it right below the CFA; a rule that says otherwise is not compact.
inline constexpr bool return_address_fits(std::int32_t cfa_offset, std::uint64_t) noexcept { return cfa_offset == -8; }
inline std::uint64_t return_address_slot(std::uint64_t) noexcept { return 8; }

inline std::uint64_t plain_address(std::uint64_t return_address) noexcept { return return_address; }

// The kernel's signal trampolines are described by the C library's own unwind information.
inline bool trampoline_rule(std::uint64_t, unwind_rule*) noexcept { return false; }

[[gnu::always_inline]] inline start_registers own_registers() noexcept {
  start_registers now{};
  asm volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
               : "=&r"(now.instruction), "=&r"(now.stack), "=&r"(now.frame));
  return now;
}

}  // namespace tenure::telemetry::machine
