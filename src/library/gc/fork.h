// A forked child has one thread. The parent's locks are taken before and given back on both sides, so no cycle is under
// way in the child and no list half changed; the other threads' locals are gone, their roots are not.
#pragma once

namespace tenure::gc {

// Once per process, when the first heap is made.
void prepare_for_fork() noexcept;

}  // namespace tenure::gc
