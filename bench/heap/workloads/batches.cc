// Batches: many blocks of assorted small sizes allocated, then all of them freed, in the order they came, in reverse,
// or at random. The order decides how free lists come out and so where the next batch lands.
#include <array>
#include <cstdlib>
#include <iterator>
#include <numeric>
#include <utility>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t batch_blocks = 20'000;
constexpr std::uint64_t batch_count = 500;

enum class order { forward, reverse, random };

std::array<void*, batch_blocks> blocks;
std::array<std::uint32_t, batch_blocks> sequence;

void arrange(order how, random_source& random) {
  std::iota(sequence.begin(), sequence.end(), 0U);
  if (how == order::reverse) {
    for (std::size_t index = 0; index < batch_blocks / 2; ++index) {
      std::swap(sequence[index], sequence[batch_blocks - 1 - index]);
    }
  } else if (how == order::random) {
    for (std::size_t index = batch_blocks - 1; index > 0; --index) {
      std::swap(sequence[index], sequence[random.below(index + 1)]);
    }
  }
}

template <order how>
std::uint64_t run_batches(std::uint64_t divisor) {
  random_source random(11);
  arrange(how, random);
  const std::uint64_t count = batch_count / divisor;
  for (std::uint64_t batch = 0; batch < count; ++batch) {
    for (void*& block : blocks) {
      const std::size_t size_bytes = 8 + random.below(248);
      block = std::malloc(size_bytes);
      touch(block, size_bytes);
    }
    for (const std::uint32_t index : sequence) {
      std::free(blocks[index]);
    }
  }
  return count * batch_blocks;
}

constexpr workload all[] = {
    {"batch_forward", "20,000 blocks of 8..255 bytes, freed in the order they came", run_batches<order::forward>},
    {"batch_reverse", "the same, freed in reverse", run_batches<order::reverse>},
    {"batch_random", "the same, freed at random", run_batches<order::random>},
};

}  // namespace

workload_list batch_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
