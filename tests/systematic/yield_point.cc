// Of every systematic test: a yield point of the sources gives the turn to whom the dice choose.
#include "core/base/yield_point.h"
#include "systematic.h"

namespace tenure::core {
void yield_point() noexcept { testing::systematic::yield(); }
}  // namespace tenure::core
