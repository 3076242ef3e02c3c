// The stacks of the other threads, looked at while these stand still.
//
//   begin_scan() --> threads stopped --> map read --> stack from its pointer on, and registers, of each --> let go
//
// A stack reaches from its pointer to the control block above it, where the C library has made it, and that of the
// first thread to the end of its mapping. Of one that the program has made, for a coroutine, 64 KiB are looked at.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

// False: enough was seen. Called while all other threads stand still, whatever lock they hold: it takes none, and
// allocates nothing.
using stack_visitor = bool (*)(void* context, std::uintptr_t begin, std::uintptr_t end, std::uint32_t thread);

// False where nobody knows which threads there are, where another scan goes on, and without memory. A thread that does
// not answer in half a second is left out.
bool visit_other_stacks(stack_visitor visit, void* context) noexcept;

}  // namespace tenure::core
