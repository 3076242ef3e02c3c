// The verifier: traces from the roots a second time, by other means, and compares.
#pragma once

#include "library/gc/heap_state.h"

namespace tenure::gc {

// With all threads stopped and marking complete: whatever the roots lead to is allocated, constructed by a known type,
// and marked. Ends the program with the type and the offset of the pointer that is not. Where there is no memory to
// walk with it does nothing.
void verify_marks(heap_state& heap) noexcept;
// The same without marks, at any time with threads stopped. Throws std::bad_alloc.
void verify_reachable(heap_state& heap);

}  // namespace tenure::gc
