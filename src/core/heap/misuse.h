// What a program does wrong with its heap ends in one message: what, where, what lies at that address, and the stack.
#pragma once

#include "core/heap/heap.h"
#include "wire/event.h"

namespace tenure::core {

enum class misuse {
  double_free,       // the block is free already
  interior_pointer,  // inside a block, not its start
  foreign_pointer,   // not an address of this heap
  size_mismatch,     // a sized delete or free_sized with a size of another class
  heap_mismatch,     // given to a named heap that does not own it
};

// Writes the message and aborts; returns when the option abort_on_misuse is off, and the caller then ignores the call.
[[gnu::cold, gnu::noinline]] void report_misuse(misuse what, const void* address) noexcept;

// A block that is freed by another function than belongs to the one that allocated it, such as delete of what new[]
// made: the message and an abort. Where one of the options abort_on_mismatch and abort_on_misuse is off there is one
// message in a process, and the caller goes on: the block is found by its address, so nothing is damaged.
[[gnu::cold, gnu::noinline]] void report_mismatch(const void* block, wire::allocation_entry made,
                                                  free_entry freed) noexcept;

}  // namespace tenure::core
