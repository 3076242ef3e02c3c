// Whether the program under test really runs on Tenure's heap. A preload test that runs on the C library's heap by
// accident would pass and prove nothing, so each begins with require_engaged().
//
// TENURE_TEST_ANY_ALLOCATOR=1 lifts the requirement: that is how a test is tried, by hand, on an allocator which is
// known to have the fault that the test looks for. CTest never sets it.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tenure::testing {

// A function of the library under test, by its C name; null when the allocator does not export it.
template <class function>
function* exported(const char* name) {
  return reinterpret_cast<function*>(dlsym(RTLD_DEFAULT, name));
}

inline bool engaged() {
  auto* active = exported<int()>("tenure_is_active");
  return active != nullptr && active() == 1;
}

inline bool any_allocator_allowed() {
  const char* allowed = std::getenv("TENURE_TEST_ANY_ALLOCATOR");
  return allowed != nullptr && std::strcmp(allowed, "1") == 0;
}

inline void require_engaged() {
  if (engaged() || any_allocator_allowed()) return;
  const char* preload = std::getenv("LD_PRELOAD");
  std::fprintf(stderr, "this test must run on Tenure's heap, and does not: LD_PRELOAD=%s\n",
               preload == nullptr ? "(not set)" : preload);
  std::exit(3);
}

}  // namespace tenure::testing
