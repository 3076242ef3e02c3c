// A rule: how to find the caller's frame from one instruction address.
//
//   CFA             = register + offset,  or  *(register + inner) + offset      register: stack or frame pointer
//   return address  = *(place + offset)                                         place: CFA, stack or frame pointer
//   frame pointer   = unchanged, *(place + offset), or lost
//   stack pointer   = CFA
//
// That is all that compilers and the C library ask for at addresses where a walk can stand; anything else has no rule,
// and the walk says so. Nearly every rule also fits the 27 bits of `compact_rule`, which lie in the cache beside the
// address (rule_cache.h):
//
//   bits 0..1    0: stack pointer based, 1: frame pointer based, 2: number of a rule kept whole, in bits 3..26
//   bits 3..15   CFA offset in words, so that a mask makes it bytes
//   bits 16..26  words from the CFA down to the saved frame pointer; 0: unchanged
#pragma once

#include <cstdint>

namespace tenure::telemetry {

enum class place : std::uint8_t {
  unchanged,  // the register still has the caller's value (for the return address: it is in the link register)
  cfa,        // *(CFA + offset)
  stack,      // *(stack pointer + offset)
  frame,      // *(frame pointer + offset)
  lost,       // no caller's value is to be had
};

struct saved_register {
  place where = place::unchanged;
  std::int32_t offset = 0;
  bool operator==(const saved_register&) const noexcept = default;
};

enum class rule_kind : std::uint8_t { none, complete, caller };

struct unwind_rule {
  rule_kind kind = rule_kind::none;
  bool signal = false;            // the caller was interrupted, not calling: its address is exact
  bool cfa_from_frame = false;    // else from the stack pointer
  bool cfa_dereferenced = false;  // *(register + cfa_inner) + cfa_offset
  std::int32_t cfa_inner = 0;
  std::int32_t cfa_offset = 0;
  saved_register return_address;
  saved_register frame;
  saved_register link;  // only where a link register exists and a signal frame holds it
  bool operator==(const unwind_rule&) const noexcept = default;
};

using compact_rule = std::uint32_t;
inline constexpr unsigned compact_rule_bits = 27;
inline constexpr compact_rule compact_kind_mask = 3;
inline constexpr compact_rule compact_stack_based = 0;
inline constexpr compact_rule compact_frame_based = 1;
inline constexpr compact_rule compact_whole = 2;     // bits 3..26 number a rule of the table of whole rules
inline constexpr compact_rule compact_uncached = 3;  // never in the cache: the caller holds the rule itself
inline constexpr unsigned compact_value_shift = 3;
inline constexpr unsigned compact_cfa_bits = 13;
inline constexpr unsigned compact_frame_shift = compact_value_shift + compact_cfa_bits;
inline constexpr unsigned compact_frame_bits = compact_rule_bits - compact_frame_shift;

inline std::uint64_t compact_cfa_offset(std::uint64_t rule) noexcept {
  return rule & ((std::uint64_t{1} << compact_cfa_bits) - 1) << compact_value_shift;
}
// Bytes from the CFA down to the saved frame pointer.
inline std::uint64_t compact_frame_slot(std::uint64_t rule) noexcept {
  return (rule >> compact_frame_shift & ((std::uint64_t{1} << compact_frame_bits) - 1)) * 8;
}

}  // namespace tenure::telemetry
