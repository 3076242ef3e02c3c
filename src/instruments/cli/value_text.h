// Values of options that are more than a number: times, and ranges of times and sizes.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace tenure::cli {

inline constexpr std::uint64_t no_bound = std::numeric_limits<std::uint64_t>::max();

// "1500ms", "2.5s", "3m", "1h", also "us" and "ns"; 0 needs no unit. In ns; absent when it is no such time.
std::optional<std::uint64_t> parse_time(std::string_view text);

struct value_range {
  std::uint64_t first = 0;
  std::uint64_t last = no_bound;
};

// "1s..2.5s", "1s.." or "..2.5s", in ns; absent when it is none, or ends before it begins.
std::optional<value_range> parse_time_range(std::string_view text);

// "1K..64K", "1K..", "..64K", both ends included, or one size: "100".
std::optional<value_range> parse_byte_range(std::string_view text);

}  // namespace tenure::cli
