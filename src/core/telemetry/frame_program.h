// Runs the call frame instructions of one .eh_frame entry up to an address and says what rule holds there.
//
// Only three registers are followed: stack pointer, frame pointer, return address. DWARF expressions are evaluated
// symbolically: at one address, every expression in use is a constant, register + constant, or *(register + constant)
// + constant, and what is not has no rule.
#pragma once

#include <cstdint>

#include "core/telemetry/byte_range.h"
#include "core/telemetry/unwind_rule.h"

namespace tenure::telemetry {

// What the common part of an entry (CIE) and the entry itself (FDE) say.
struct frame_entry {
  std::uint64_t code_begin = 0;
  std::uint64_t code_end = 0;
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = 1;
  std::uint64_t return_register = 0;
  std::uint8_t pointer_encoding = 0;
  bool signal = false;
  byte_range initial_instructions;
  byte_range instructions;
};

// The rule at `instruction`, which lies in [code_begin, code_end). kind is none where the program asks for more than a
// rule can say, or is broken.
unwind_rule run_frame_program(const frame_entry& entry, std::uint64_t instruction) noexcept;

}  // namespace tenure::telemetry
