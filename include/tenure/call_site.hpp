// tenure::call_site: where in the program something was done, as return addresses.
#pragma once

#include <cstdint>

namespace tenure {

inline constexpr std::uint32_t site_frames = 12;

// Innermost first. The first of them may be Tenure's own.
struct call_site {
  std::uint32_t frame_count = 0;
  std::uint64_t frames[site_frames];
};

}  // namespace tenure
