// Which core of a process is the live one.
//
//   a program linked with libtenure.so, run under LD_PRELOAD=libtenure-malloc.so:
//
//     program ──tenure_heap_create──┐            libtenure-malloc.so   its tenure_* come first: its core is live
//     libtenure.so: a room ─────────┴──▶ loader ─▶
//                                                libtenure.so          its own core is never called: it stays inert
//
// Each of the two libraries holds a whole core, and both export tenure_*. The loader binds every reference to the
// library that comes first, so that one core has all the state. The other one must not begin either: it would open a
// second region for the process and start a second background thread.
#pragma once

namespace tenure::core {

// Whether the tenure_* that the loader chose for this process are those of this library.
bool is_live_core() noexcept;

// Whether the malloc that the loader chose is this library's. Weak, and no, where the library brings none.
bool serves_malloc() noexcept;

// The address that the loader chose for an exported function. A compiler that sees both a function and its alias may
// take them for equal; it does not see through this.
template <class function>
const void* chosen_address(function* of) noexcept {
  asm("" : "+r"(of));
  return reinterpret_cast<const void*>(of);
}

}  // namespace tenure::core
