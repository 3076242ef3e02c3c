// structure_check(): what check() of a policy or a cache holds true. It is always on; when it does not hold, one line
// goes to standard error and the process ends, since a structure that is no longer one must not choose what is freed.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tenure::eviction {

[[noreturn]] inline void structure_damaged(const char* what) noexcept {
  std::fprintf(stderr, "tenure: eviction structure is damaged: %s\n", what);
  std::abort();
}

inline void structure_check(bool holds, const char* what) noexcept {
  if (!holds) [[unlikely]]
    structure_damaged(what);
}

}  // namespace tenure::eviction
