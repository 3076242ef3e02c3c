// Scan: which live blocks nothing leads to (wire/leak_scan.h), in a process that runs or is about to end.
//
//   the process    heap's locks ─► threads stopped ─► copied ─► threads and locks let go ─► waits ─► the answer is
//   valid the copy                                           └► map, blocks, roots ─► reachability ─► the answer's file
//
// The program is held up until it has been copied; the copy is looked through while it runs on. The copy is a child
// that no handler and no wait() of the program gets to know of. It has the memory as it was at one moment, so what one
// thread moves while another page is looked at is no matter.
//
// What is reachable can be told too, each block with where the pointer to it lies (wire/leak_scan.h): it costs the copy
// time and room in the file, and the program nothing.
//
// Roots (roots.h) are the writable private mappings without the heap: data of modules, stacks from their pointers
// outward, thread-local storage, what the program has mapped for itself; and the registers of all threads. Stacks that
// threads have left behind are none.
#pragma once

#include <cstdint>

namespace tenure::core {

// Once, before anybody may attach.
void prepare_scans() noexcept;

// One scan at a time, of whatever kind: false where one goes on.
bool begin_scan() noexcept;
void end_scan() noexcept;
inline constexpr std::uint64_t stop_patience_ns = 500'000'000;

// When the program's destructors have run, if the session wants it; returns when the answer is there. The calling
// thread holds no lock of the heap's.
void scan_at_exit() noexcept;

}  // namespace tenure::core
