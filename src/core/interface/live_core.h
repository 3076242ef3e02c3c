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

#include "core/interface/export.h"

// Where the core of the library that the loader chose has its state. Exported so that each core can ask which one that
// is, and no part of the C interface.
TENURE_EXPORT const void* tenure_core_identity();

namespace tenure::core {

// Nothing is read of it; each library has its own, at its own address.
extern const char core_identity;

// Whether the tenure_* that the loader chose for this process are those of this library.
bool is_live_core() noexcept;

// Whether the malloc that the loader chose gives blocks of this core's heap. Where that is not plain from where
// it lies, asks it for one, the first time.
bool serves_malloc() noexcept;

}  // namespace tenure::core
