// Sleeping until a word changes.
#pragma once

#include <cstdint>

namespace tenure::os {

// Sleeps while *word == expected, until woken, interrupted, or `timeout_ns` has passed (0: no limit).
void futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept;
void futex_wake(std::uint32_t* word, int threads) noexcept;

// The turn-th time in a row that a thread waits for another which does not wake it: yields at first, then sleeps 100
// us.
void wait_a_moment(unsigned turn) noexcept;

}  // namespace tenure::os
