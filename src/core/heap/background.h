// Tenure's own thread: gives free pages back to the operating system and huge pages to dense parts of the heap, so that
// no caller of malloc or free has to.
//
// Started when there is enough to give back (page_heap.h says when), in a process that has the option on; sleeps for
// good when there is nothing left. It blocks every signal and is called "tenure". Where it cannot be started, the slow
// path that finds pages due returns them itself.
#pragma once

namespace tenure::core {

// From the page heap, with no lock held: there are dirty pages to look after.
void wake_background() noexcept;

// In the child of fork the thread is gone; it is started again when there is need.
void forget_background_after_fork() noexcept;

// Before a thread may be started: called when the program's own constructors are about to run.
void allow_background() noexcept;

// The process is ending: no thread is started any more.
void forbid_background() noexcept;

}  // namespace tenure::core
