// Life classes: durations in classes that are a sixteenth of an octave wide, so that many are a few numbers.
//
//   class  0 .. 15          0 .. 15 ns, each its own
//          16 .. 31         16 .. 31 ns, each its own
//          32 .. 47         32 .. 63 ns, two each
//          ...
//
// A class is spoken of by its middle, which is at most a thirty-second off: HdrHistogram's layout.
#pragma once

#include <bit>
#include <cstdint>

namespace tenure::analyze {

inline constexpr unsigned life_class_bits = 4;

constexpr std::uint32_t life_class_of(std::uint64_t duration_ns) {
  const unsigned octave = static_cast<unsigned>(std::bit_width(duration_ns));
  if (octave <= life_class_bits) return static_cast<std::uint32_t>(duration_ns);
  const unsigned shift = octave - life_class_bits - 1;
  return ((shift + 1) << life_class_bits) +
         (static_cast<std::uint32_t>(duration_ns >> shift) & ((1u << life_class_bits) - 1));
}

constexpr std::uint64_t middle_of_life_class(std::uint32_t number) {
  const unsigned shift = number >> life_class_bits;
  const std::uint64_t low = number & ((1u << life_class_bits) - 1);
  if (shift <= 1) return number;
  const std::uint64_t first = (low | (1u << life_class_bits)) << (shift - 1);
  return first + ((std::uint64_t{1} << (shift - 1)) - 1) / 2;
}

}  // namespace tenure::analyze
