// Mixed sizes, mixed lives: two threads whose blocks run from 16 bytes to 16 KiB, most of which die within a few dozen
// allocations while one in sixteen stays for long. Middle sizes are where thread caches give up.
#include <array>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t short_lived = 64;
constexpr std::size_t long_lived = 6000;
constexpr std::uint64_t turns_per_thread = 8'000'000;
constexpr std::size_t written_bytes_most = 256;

void* allocate_written(std::size_t size_bytes) {
  void* block = std::malloc(size_bytes);
  std::memset(block, 7, size_bytes < written_bytes_most ? size_bytes : written_bytes_most);
  return block;
}

void live(std::uint64_t seed, std::uint64_t turns) {
  random_source random(seed);
  std::array<void*, short_lived> young{};
  std::vector<void*> old(long_lived);
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    void*& slot = turn % 16 == 0 ? old[random.below(long_lived)] : young[turn % short_lived];
    std::free(slot);
    slot = allocate_written(random.size_between(4, 14));
  }
  for (void* block : young) {
    std::free(block);
  }
  for (void* block : old) {
    std::free(block);
  }
}

std::uint64_t run_mixed(std::uint64_t divisor) {
  const std::uint64_t turns = turns_per_thread / divisor;
  std::thread first(live, 31, turns);
  std::thread second(live, 32, turns);
  first.join();
  second.join();
  return 2 * turns;
}

constexpr workload all[] = {
    {"mixed_lives", "two threads, 16 bytes to 16 KiB, most blocks short-lived, some long", run_mixed},
};

}  // namespace

workload_list mixed_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
