// calloc: tables and buffers that must be zero, from a few words to half a MiB. Memory fresh from the kernel is zero
// already; memory used before must be cleared.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t window = 400;
constexpr std::uint64_t turns_whole = 3'000'000;

std::size_t pick_size(random_source& random) {
  const bool table = random.below(100) == 0;
  return table ? random.size_between(14, 19) : random.size_between(4, 11);
}

// An allocator that hands out dirty memory here is broken, and its time is worth nothing.
void require_zero(const char* block, std::size_t size_bytes) {
  if (block[0] != 0 || block[size_bytes / 2] != 0 || block[size_bytes - 1] != 0) {
    std::fputs("calloc returned memory that is not zero\n", stderr);
    std::abort();
  }
}

std::uint64_t run_zeroed(std::uint64_t divisor) {
  random_source random(91);
  std::array<char*, window> live{};
  const std::uint64_t turns = turns_whole / divisor;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    char*& slot = live[random.below(window)];
    std::free(slot);
    const std::size_t size_bytes = pick_size(random);
    slot = static_cast<char*>(std::calloc(1, size_bytes));
    require_zero(slot, size_bytes);
    touch(slot, size_bytes);
    slot[size_bytes - 1] = 1;
    slot[size_bytes / 2] = 1;
  }
  for (char* block : live) {
    std::free(block);
  }
  return turns;
}

constexpr workload all[] = {
    {"zeroed", "calloc of 16 bytes to 2 KiB, one in a hundred of 16 to 512 KiB", run_zeroed},
};

}  // namespace

workload_list zeroed_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
