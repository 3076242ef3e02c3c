// Whether a word of memory may be read, without the risk of trying.
#pragma once

#include <cstdint>

namespace tenure::telemetry {

inline constexpr std::uint64_t probe_page_bytes = 4096;  // no OS page is smaller

// Whether the eight bytes at `address` are readable now. One system call; errno stays as it was.
bool is_readable(std::uint64_t address) noexcept;

}  // namespace tenure::telemetry
