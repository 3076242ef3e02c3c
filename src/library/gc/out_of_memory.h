// Where memory is refused and nothing that could be thrown would arrive: in a function that may not throw, because what
// it does has to be done.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tenure::gc {

[[noreturn]] inline void end_out_of_memory(const char* wanted) noexcept {
  std::fprintf(stderr, "tenure: out of memory: the system has none for %s\n", wanted);
  std::abort();
}

}  // namespace tenure::gc
