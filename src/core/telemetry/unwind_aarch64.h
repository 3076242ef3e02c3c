// What of the unwinder depends on aarch64: register numbers of its DWARF mapping, where compact rules find the return
// address, and how a function reads its own registers.
#pragma once

#include <ucontext.h>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include "core/telemetry/byte_range.h"
#include "core/telemetry/memory_probe.h"
#include "core/telemetry/unwind.h"
#include "core/telemetry/unwind_rule.h"

namespace tenure::telemetry::machine {

inline constexpr std::uint64_t frame_register = 29;
inline constexpr std::uint64_t stack_register = 31;
inline constexpr std::uint64_t return_register = 30;
inline constexpr bool has_link_register = true;

// Frame pointer and link register are stored as a pair, the link above; a rule that says otherwise is not compact.
inline constexpr bool return_address_fits(std::int32_t cfa_offset, std::uint64_t frame_slot) noexcept {
  return frame_slot >= 16 && cfa_offset == 8 - static_cast<std::int64_t>(frame_slot);
}
inline std::uint64_t return_address_slot(std::uint64_t frame_slot) noexcept { return frame_slot - 8; }

// Without the pointer authentication code, where the program was built with one.
inline std::uint64_t plain_address(std::uint64_t return_address) noexcept {
  return return_address & ((std::uint64_t{1} << 48) - 1);
}

// The vDSO describes its signal trampoline by the interrupted function's link register, which loses the interrupted
// address (and an emulator may have no vDSO). So the trampoline is known by its two instructions (mov x8,
// #rt_sigreturn; svc #0), at which the stack pointer points to the kernel's frame: siginfo, then the context.
inline bool trampoline_rule(std::uint64_t return_address, unwind_rule* rule) noexcept {
  if (!is_readable(return_address)) return false;
  byte_reader reader({return_address, return_address + 8}, return_address);
  const auto move = reader.read<std::uint32_t>();
  const auto call = reader.read<std::uint32_t>();
  if (!reader.ok() || move != 0xd2801168u || call != 0xd4000001u) return false;
  constexpr std::size_t context = sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext);
  constexpr auto registers = static_cast<std::int32_t>(context + offsetof(mcontext_t, regs));
  *rule = {};
  rule->kind = rule_kind::caller;
  rule->signal = true;
  rule->cfa_dereferenced = true;
  rule->cfa_inner = static_cast<std::int32_t>(context + offsetof(mcontext_t, sp));
  rule->return_address = {place::stack, static_cast<std::int32_t>(context + offsetof(mcontext_t, pc))};
  rule->frame = {place::stack, registers + 29 * 8};
  rule->link = {place::stack, registers + 30 * 8};
  return true;
}

[[gnu::always_inline]] inline start_registers own_registers() noexcept {
  start_registers now{};
  asm volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29\n\tmov %3, x30"
               : "=&r"(now.instruction), "=&r"(now.stack), "=&r"(now.frame), "=&r"(now.link));
  return now;
}

}  // namespace tenure::telemetry::machine
