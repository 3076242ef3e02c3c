// What a program does wrong with its heap ends in one message: what, where, what lies at that address, and the stack.
#pragma once

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

}  // namespace tenure::core
