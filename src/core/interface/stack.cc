// Stacks for the library: tracking, messages about misuse.
#include <tenure/tenure.h>

#include "core/interface/export.h"
#include "core/telemetry/unwind.h"

TENURE_EXPORT std::uint32_t tenure_stack_capture(std::uint64_t* frames, std::uint32_t capacity) {
  return tenure::telemetry::capture_stack(frames, capacity, 1).frame_count;
}
