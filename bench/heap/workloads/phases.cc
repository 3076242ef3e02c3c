// A program that changes its habits: it fills memory with blocks of one size, keeps one in ten at random, and goes on
// to the next size. What the survivors pin cannot serve other sizes unless the allocator packs them well or shares
// pages.
#include <cstdlib>
#include <iterator>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t phase_bytes = 24 * 1024 * 1024;
constexpr std::size_t sizes_bytes[] = {48, 1500, 160, 6000, 96, 640, 14'000, 320, 2500, 64};
constexpr std::uint64_t cycles_whole = 3;

struct survivor_list {
  std::vector<void*> blocks;
  // Room for all survivors at once, so that the list itself is no part of the pattern.
  survivor_list() { blocks.reserve(phase_bytes / 8); }
};

std::uint64_t one_phase(std::size_t size_bytes, random_source& random, std::vector<void*>& working,
                        survivor_list& survivors) {
  const std::size_t count = phase_bytes / size_bytes;
  for (std::size_t index = 0; index < count; ++index) {
    working[index] = std::malloc(size_bytes);
    touch(working[index], size_bytes);
  }
  for (std::size_t index = 0; index < count; ++index) {
    if (random.below(10) == 0) {
      survivors.blocks.push_back(working[index]);
    } else {
      std::free(working[index]);
    }
  }
  return count;
}

// Survivors of the cycle before last go, in random order, so that old pages empty slowly.
void retire(survivor_list& survivors, random_source& random) {
  for (std::size_t left = survivors.blocks.size(); left > 0; --left) {
    std::swap(survivors.blocks[random.below(left)], survivors.blocks[left - 1]);
    std::free(survivors.blocks[left - 1]);
  }
  survivors.blocks.clear();
}

std::uint64_t run_phases(std::uint64_t divisor) {
  random_source random(81);
  std::vector<void*> working(phase_bytes / 48 + 1);
  survivor_list generations[2];
  std::uint64_t operations = 0;
  const std::uint64_t cycles = cycles_whole > divisor ? cycles_whole / divisor : 1;
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
    survivor_list& current = generations[cycle % 2];
    retire(current, random);
    for (const std::size_t size_bytes : sizes_bytes) {
      operations += one_phase(size_bytes, random, working, current);
    }
  }
  retire(generations[0], random);
  retire(generations[1], random);
  return operations;
}

constexpr workload all[] = {
    {"phase_change", "24 MiB of one size after another, of each one block in ten stays", run_phases},
};

}  // namespace

workload_list phase_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
