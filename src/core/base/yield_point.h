// Where a thread may be stopped between two steps of a lock-free protocol.
//
// Empty in every normal build. The systematic tests compile the same sources with TENURE_SYSTEMATIC and bring a
// yield_point() that hands the turn to another thread by a seed (tests/support/systematic.h), so that an interleaving
// that fails is replayed from one number.
#pragma once

#ifdef TENURE_SYSTEMATIC
namespace tenure::core {
void yield_point() noexcept;
}
#define TENURE_YIELD_POINT() ::tenure::core::yield_point()
#else
#define TENURE_YIELD_POINT() static_cast<void>(0)
#endif
