// A thread that the C library does not know of.
//
// Tenure's own thread is started from within malloc or free, and those are called by the C library with locks held that
// pthread_create takes as well (the cache of stacks, when a thread is joined). So it is made by the system call alone,
// on memory mapped for it, with a thread-local block of its own that holds no more than what the functions it calls
// look at.
//
// What runs in it may use the functions of os/, which are system calls, and nothing of the C library that allocates,
// locks, prints or is a cancellation point. To the C library the process stays single-threaded. setuid() and its kin,
// which the C library carries out in each thread it knows, do not reach this one.
#pragma once

#include <cstddef>

namespace tenure::os {

// Calls run() in a new thread with all signals blocked; when it returns the thread ends and its memory is given back.
// `used_local` is the address of a thread-local variable of the calling thread that run() will use: its block is made
// large enough to hold it, zeroed. False when the system refuses.
bool start_bare_thread(void (*run)(), std::size_t stack_bytes, const void* used_local) noexcept;

}  // namespace tenure::os
