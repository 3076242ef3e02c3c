// What the machine takes for as many lines of 64 bytes in random order as a marker would look at: one after another,
// each found in the one before, and with some of them on their way. No marker is faster than the second.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "programs.h"

namespace tenure::bench {

namespace {

struct alignas(64) line {
  std::uint32_t next;
  std::uint32_t value;
};
constexpr std::size_t ahead = 32;

// Best of three, in nanoseconds a line.
template <class Body>
double best(std::size_t count, Body body) {
  double least = 1e9;
  for (int round = 0; round < 3; ++round) {
    const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    if (body() != count) std::abort();
    least = std::min(least, (seconds(CLOCK_THREAD_CPUTIME_ID) - before) * 1e9 / static_cast<double>(count));
  }
  return least;
}

}  // namespace

void lines(std::size_t mib) {
  const std::size_t bytes = mib << 20;
  const std::size_t count = bytes / sizeof(line);
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::abort();
  ::madvise(at, bytes, MADV_HUGEPAGE);
  line* all = static_cast<line*>(at);
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  for (std::size_t i = 0; i < count; ++i) all[order[i]] = {order[(i + 1) % count], 1};
  const double alone_ns = best(count, [&] {
    std::size_t sum = 0;
    std::uint32_t which = order[0];
    for (std::size_t i = 0; i < count; ++i) {
      sum += all[which].value;
      which = all[which].next;
    }
    return sum;
  });
  const double ahead_ns = best(count, [&] {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (i + ahead < count) __builtin_prefetch(&all[order[i + ahead]]);
      sum += all[order[i]].value;
    }
    return sum;
  });
  ::munmap(at, bytes);
  std::printf("lines mib %zu lines %zu alone_ns_a_line %.1f ahead %zu ns_a_line %.1f s_a_gib %.3f\n", mib, count,
              alone_ns, ahead, ahead_ns, ahead_ns * static_cast<double>(std::size_t{1} << 24) / 1e9);
}

}  // namespace tenure::bench
