// Units of memory that tests count in.
#pragma once

#include <cstddef>

namespace tenure {

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;

}  // namespace tenure
