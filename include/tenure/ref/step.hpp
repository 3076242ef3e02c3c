// Where a thread may be stopped between two steps of a count: empty, except in the systematic tests, which hand the
// turn to another thread there.
#pragma once

#ifdef TENURE_SYSTEMATIC
namespace tenure::core {
void yield_point() noexcept;
}
#define TENURE_REF_STEP() ::tenure::core::yield_point()
#else
#define TENURE_REF_STEP() static_cast<void>(0)
#endif
