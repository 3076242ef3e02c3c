// gc_benchmark PROGRAM MEMORY [SIZE]: one run, and what it took. run.py runs them all.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "programs.h"

using namespace tenure;

namespace {

int usage() {
  std::fputs(
      "usage: gc_benchmark binary_trees|gcbench|lru managed|unique|shared|boehm SIZE\n       gc_benchmark "
      "primitives|plans\n"
      "       gc_benchmark marking LIVE_MIB\n       gc_benchmark lines MIB\n       gc_benchmark pauses LIVE_MIB "
      "THREADS OPERATIONS [hogs]\n"
      "Exit code 3: not built with the Boehm collector.\n",
      stderr);
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "primitives") == 0) {
    bench::primitives();
    return 0;
  }
  if (count == 2 && std::strcmp(arguments[1], "plans") == 0) {
    bench::plans();
    return 0;
  }
  if (count == 3 && std::strcmp(arguments[1], "marking") == 0) {
    bench::marking(std::strtoul(arguments[2], nullptr, 10));
    return 0;
  }
  if (count == 3 && std::strcmp(arguments[1], "lines") == 0) {
    bench::lines(std::strtoul(arguments[2], nullptr, 10));
    return 0;
  }
  if ((count == 5 || count == 6) && std::strcmp(arguments[1], "pauses") == 0) {
    bench::pauses(std::strtoul(arguments[2], nullptr, 10), static_cast<unsigned>(std::atoi(arguments[3])),
                  std::strtoull(arguments[4], nullptr, 10), count == 6);
    return 0;
  }
  if (count != 4) return usage();
  bench::memory kind = bench::memory::shared;
  if (std::strcmp(arguments[2], "managed") == 0) kind = bench::memory::managed;
  if (std::strcmp(arguments[2], "unique") == 0) kind = bench::memory::unique;
  if (std::strcmp(arguments[2], "boehm") == 0) {
#ifdef TENURE_BENCH_BOEHM
    kind = bench::memory::boehm;
    GC_INIT();
#else
    return 3;
#endif
  }
  const int size = std::atoi(arguments[3]);
  const double wall = bench::seconds(CLOCK_MONOTONIC);
  std::uint64_t sum;
  if (std::strcmp(arguments[1], "binary_trees") == 0) {
    sum = bench::binary_trees(kind, size);
  } else if (std::strcmp(arguments[1], "gcbench") == 0) {
    sum = bench::gcbench(kind, size);
  } else if (std::strcmp(arguments[1], "lru") == 0) {
    sum = bench::lru(kind, size);
  } else {
    return usage();
  }
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  gc::heap_statistics figures{};
  if (kind == bench::memory::managed) figures = gc::heap::standard().statistics();
#ifdef TENURE_BENCH_BOEHM
  if (kind == bench::memory::boehm) figures.cycles = GC_get_gc_no();
#endif
  std::printf("%s %s %d checksum %llu wall_s %.3f processor_s %.3f peak_mib %ld cycles %llu collector_s %.3f\n",
              arguments[1], arguments[2], size, static_cast<unsigned long long>(sum),
              bench::seconds(CLOCK_MONOTONIC) - wall, bench::seconds(CLOCK_PROCESS_CPUTIME_ID), used.ru_maxrss / 1024,
              static_cast<unsigned long long>(figures.cycles), static_cast<double>(figures.collector_ns) / 1e9);
  return 0;
}
