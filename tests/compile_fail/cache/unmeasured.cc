// expect: it is not known what a K or a V owns
#include <functional>

#include <tenure/cache.hpp>

#ifdef CORRECTED
tenure::cache<int, std::function<int()>> made(tenure::limit_entries{100});
#else
tenure::cache<int, std::function<int()>> made(tenure::limit_bytes{1 << 20});
#endif
