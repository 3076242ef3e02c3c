// Hot pairs: one block allocated, written to and freed, over and over. The purest measure of the fast path, and of what
// an allocator does with a single block of a size beyond its thread cache. A few neighbours of the same size stay alive
// meanwhile, as they do in programs: a page that empties with every free is another matter than the fast path.
#include <cstdlib>
#include <iterator>

#include "workload.h"

namespace tenure::bench {
namespace {

template <std::size_t size_bytes, std::uint64_t pairs>
std::uint64_t run_pair(std::uint64_t divisor) {
  void* neighbours[4];
  for (void*& block : neighbours) {
    block = std::malloc(size_bytes);
    touch(block, size_bytes);
  }
  const std::uint64_t count = pairs / divisor;
  for (std::uint64_t index = 0; index < count; ++index) {
    void* block = std::malloc(size_bytes);
    *static_cast<char*>(block) = 1;
    escape(block);
    std::free(block);
  }
  for (void* block : neighbours) {
    std::free(block);
  }
  return count;
}

constexpr workload all[] = {
    {"pair_16", "malloc(16) and free, hot", run_pair<16, 80'000'000>},
    {"pair_64", "malloc(64) and free, hot", run_pair<64, 80'000'000>},
    {"pair_256", "malloc(256) and free, hot", run_pair<256, 80'000'000>},
    {"pair_1k", "malloc(1 KiB) and free, hot", run_pair<1024, 80'000'000>},
    {"pair_8k", "malloc(8 KiB) and free, hot", run_pair<8192, 40'000'000>},
    {"pair_64k", "malloc(64 KiB) and free, hot", run_pair<65536, 40'000'000>},
};

}  // namespace

workload_list pair_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
