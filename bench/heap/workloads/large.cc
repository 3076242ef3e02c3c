// Large blocks that come and go: 100 KiB to 16 MiB, every OS page written to. The cost is page faults and mappings, so
// what counts is whether the memory of the last block serves the next one.
#include <array>
#include <cstdlib>
#include <iterator>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t block_bytes_least = 100 * 1024;

// Few live blocks, as for frames, images or message buffers; some turns leave the slot empty for a while.
template <std::size_t slots, unsigned octaves, std::uint64_t turns>
std::uint64_t run_large(std::uint64_t divisor) {
  random_source random(41);
  std::array<void*, slots> live{};
  const std::uint64_t count = turns / divisor;
  for (std::uint64_t turn = 0; turn < count; ++turn) {
    void*& slot = live[random.below(slots)];
    std::free(slot);
    slot = nullptr;
    if (random.below(4) != 0) {
      const std::size_t base = block_bytes_least << random.below(octaves);
      const std::size_t size_bytes = base + random.below(base / 4);
      slot = std::malloc(size_bytes);
      touch(slot, size_bytes);
    }
  }
  for (void* block : live) {
    std::free(block);
  }
  return count;
}

constexpr workload all[] = {
    {"large_blocks", "16 slots of 100 KiB to 1 MiB, replaced at random, touched", run_large<16, 3, 36'000>},
    {"huge_blocks", "16 slots of 100 KiB to 16 MiB, replaced at random, touched", run_large<16, 8, 1'000>},
};

}  // namespace

workload_list large_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
