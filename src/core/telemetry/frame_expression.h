// DWARF expressions of unwind information, evaluated symbolically at one instruction address.
#pragma once

#include <cstdint>

#include "core/telemetry/byte_range.h"

namespace tenure::telemetry {

// A constant, base + offset, or *(base + inner) + offset.
struct symbolic_value {
  enum class base : std::uint8_t { constant, stack, frame, cfa } from = base::constant;
  bool dereferenced = false;
  std::int64_t inner = 0;
  std::int64_t offset = 0;
};

// `start`, where not null, is on the expression's stack before it begins. False when the expression is broken or its
// value is none of the three forms.
bool evaluate(byte_range expression, std::uint64_t instruction, const symbolic_value* start,
              symbolic_value* result) noexcept;

}  // namespace tenure::telemetry
