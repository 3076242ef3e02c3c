// Small arithmetic: alignment, powers of two, intrusive helpers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

template <class T>
constexpr bool is_power_of_two(T value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

// `alignment` is a power of two.
constexpr std::uintptr_t align_up(std::uintptr_t value, std::uintptr_t alignment) noexcept {
  return (value + alignment - 1) & ~(alignment - 1);
}
constexpr std::uintptr_t align_down(std::uintptr_t value, std::uintptr_t alignment) noexcept {
  return value & ~(alignment - 1);
}
constexpr bool is_aligned(std::uintptr_t value, std::uintptr_t alignment) noexcept {
  return (value & (alignment - 1)) == 0;
}

// Position of the highest set bit; `value` is not 0.
constexpr unsigned floor_log2(std::uint64_t value) noexcept {
  return 63u - static_cast<unsigned>(__builtin_clzll(value));
}

inline constexpr bool likely(bool condition) noexcept { return __builtin_expect(condition, true); }
inline constexpr bool unlikely(bool condition) noexcept { return __builtin_expect(condition, false); }

}  // namespace tenure::core
