// Which sanitizer this is built for, by g++'s way of saying it and by clang's.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TENURE_ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#define TENURE_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TENURE_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TENURE_THREAD_SANITIZER 1
#endif
