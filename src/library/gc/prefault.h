// Chunks of the window are faulted in ahead of who allocates, by a thread of the library's own.
//
// The kernel clears a huge page at its first touch, which takes some hundred microseconds: the thread that allocates
// would spend them. So a chunk becomes a huge page here, before its blocks are handed out. Who comes to a chunk that is
// not ready all the same, because threads allocate faster than one can fault in, touches small pages.
//
// What is ready is in no account: window::ready_bytes() says how much it is, and heap_statistics tells it. It is given
// back when the last heap goes, when cycles have left more than the heaps that there are can need, and to whoever calls
// tenure_relieve_pressure().
#pragma once

namespace tenure::gc {

// Fewer free blocks are resident than is wanted. With any lock held; the first time it starts the thread.
void request_prefault() noexcept;
void reset_prefault_in_child() noexcept;

}  // namespace tenure::gc
