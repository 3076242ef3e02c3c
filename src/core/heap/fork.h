// fork in a threaded program: both sides keep working.
#pragma once

namespace tenure::core {

// Before fork every lock is taken, so that the child's copy is consistent; after it both sides let go. In the child the
// caches of the threads that are gone are given up to the central lists.
void before_fork() noexcept;
void after_fork_in_parent() noexcept;
void after_fork_in_child() noexcept;

}  // namespace tenure::core
