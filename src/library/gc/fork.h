// A forked child has one thread. The parent's locks are taken before and given back on both sides, so no cycle is under
// way in the child and no list half changed; the other threads' locals are gone, their roots are not.
#pragma once

namespace tenure::gc {

// Once per process, when the first heap is made.
// Throws std::bad_alloc when the system has no memory to remember it by.
void prepare_for_fork();

}  // namespace tenure::gc
