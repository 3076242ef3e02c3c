// Sleeping until a word changes.
#pragma once

#include <cstdint>

namespace tenure::os {

// Sleeps while *word == expected, until woken, interrupted, or `timeout_ns` has passed (0: no limit).
void futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept;
void futex_wake(std::uint32_t* word, int threads) noexcept;

}  // namespace tenure::os
