// Compares the stack that Tenure captures with the one that libunwind finds by its slow and careful way (unw_step).
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tenure::testing {

// What differed, in words; empty when both agree frame by frame and Tenure's walk ended as expected: where it reached
// the stack's first function, or (`known_start` false) where glibc does not describe that function.
// Call it from the innermost function of the stack to be compared.
std::string compare_here(bool known_start = true);

// The same for the stack that a signal interrupted, from the context its handler was given.
std::string compare_interrupted(const ucontext_t& context);

// Frames compared since the program began.
std::uint64_t compared_frames();

}  // namespace tenure::testing
