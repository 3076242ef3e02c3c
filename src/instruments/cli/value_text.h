// Values of options that are more than a number: times, ranges of times and sizes, limits.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
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

struct limit_value {
  std::string name;        // of functions; empty: of all together
  bool is_growth = false;  // written with + or %
  double share = 0;
  std::uint64_t amount = 0;
};

enum class limit_unit { bytes, blocks };

// "64M"; "+5%", "+64K" and "+5%+64K" over a baseline; each also behind "NAME=". Blocks have no K or M.
std::optional<limit_value> parse_limit(std::string_view text, limit_unit unit);

}  // namespace tenure::cli
