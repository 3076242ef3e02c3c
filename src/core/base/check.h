// CHECK is always on and guards corruption; DCHECK is for debug builds. A failed check writes one line to standard
// error, without allocating, and aborts.
#pragma once

namespace tenure::core {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace tenure::core

#define TENURE_CHECK(condition)                                             \
  (__builtin_expect(static_cast<bool>(condition), 1) ? static_cast<void>(0) \
                                                     : ::tenure::core::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define TENURE_DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define TENURE_DCHECK(condition) TENURE_CHECK(condition)
#endif
