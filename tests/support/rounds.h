// How often a test repeats itself: as often as it says, or a quarter of that under a sanitizer, where a round takes
// tens of times as long and memory that is misused, or raced for, is found in few. At least once.
//
//     for (int round = 0; round < test::rounds(200); ++round) ...
#pragma once

#include "core/base/sanitizers.h"

namespace tenure::test {

#if defined(TENURE_THREAD_SANITIZER) || defined(TENURE_ADDRESS_SANITIZER)
inline constexpr bool under_sanitizer = true;
#else
inline constexpr bool under_sanitizer = false;
#endif

template <class Number>
constexpr Number rounds(Number whole) {
  if (!under_sanitizer || whole == 0) return whole;
  return whole < 4 ? Number{1} : static_cast<Number>(whole / 4);
}

}  // namespace tenure::test
