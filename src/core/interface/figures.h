// The heap's figures as the interface tells them: all of one moment. They are too large for a small thread's stack, so
// there is one copy, and one reader at a time.
//
//   const current_figures now;
//   text.add_decimal(now->live_bytes);
#pragma once

#include "core/heap/walk.h"

namespace tenure::core {

// Reads them, behind the lock of the one copy, which is outside of all of the heap's. Thread-safe; it costs a pass over
// all spans and caches. Not from a signal handler.
class current_figures {
 public:
  current_figures() noexcept;
  ~current_figures();
  current_figures(const current_figures&) = delete;
  current_figures& operator=(const current_figures&) = delete;

  const heap_figures& operator*() const noexcept;
  const heap_figures* operator->() const noexcept { return &**this; }
};

// Around fork: the child's copy has no reader that is gone.
void lock_figures() noexcept;
void unlock_figures() noexcept;

}  // namespace tenure::core
