// How far two names are apart, for the sentence that says what a mistyped name may have meant.
#pragma once

#include <cstddef>

namespace tenure::core {

inline constexpr std::size_t longest_spelled = 48;

// The least number of letters to put in, leave out or replace that makes one name the other; capitals count as small
// letters. SIZE_MAX where one is longer than longest_spelled.
std::size_t spelling_distance(const char* a, std::size_t a_length, const char* b, std::size_t b_length) noexcept;

}  // namespace tenure::core
