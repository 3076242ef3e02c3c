// The words of the calling thread's stack and of its registers, for who must know what a raw pointer may lead to.
#pragma once

#include <cstdint>

namespace tenure::gc {

// Each word from the caller's frame outwards: visit(context, word). False, and nothing is visited, when the stack it
// runs on is not the thread's own. Under AddressSanitizer also those of frames that it keeps elsewhere.
bool for_each_stack_word(void (*visit)(void* context, std::uintptr_t word), void* context) noexcept;

}  // namespace tenure::gc
