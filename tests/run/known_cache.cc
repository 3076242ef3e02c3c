// A program with a cache that is full, and says on standard output what the cache says of itself: used bytes, entries,
// peak.
#include <unistd.h>

#include <cstdio>
#include <string>

#include <tenure/cache.hpp>

int main() {
  tenure::account server("server");
  tenure::cache<int, std::string> texts(tenure::limit_bytes{2 << 20}, {.name = "texts", .parent = &server});
  for (int key = 0; key < 20'000; ++key) texts.put(key, std::string(static_cast<std::size_t>(key % 700), 'v'));
  const tenure::cache_statistics figures = texts.statistics();
  std::printf("%llu %llu %llu\n", static_cast<unsigned long long>(figures.used_bytes),
              static_cast<unsigned long long>(figures.entries),
              static_cast<unsigned long long>(figures.peak_used_bytes));
  std::fflush(stdout);
  _exit(0);  // as it is: nothing is given back
}
