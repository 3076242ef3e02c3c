// Threads in number. thread_storm: they start, allocate a little and end, and what they leave is freed by others.
// thread_crowd: hundreds live at once and hold little each, so that the fixed cost of a thread's cache shows in RSS.
#include <array>
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <iterator>
#include <thread>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t storm_alive = 4;
constexpr std::size_t storm_blocks = 48;
constexpr std::uint64_t storm_threads = 16'000;

using legacy = std::array<void*, storm_blocks>;

// Frees what its predecessor left, allocates, and frees half of its own.
void storm_body(legacy& left, std::uint64_t seed) {
  random_source random(seed);
  for (std::size_t index = 0; index < storm_blocks; ++index) {
    std::free(left[index]);
    const std::size_t size_bytes = random.size_between(4, 11);
    left[index] = std::malloc(size_bytes);
    touch(left[index], size_bytes);
  }
  for (std::size_t index = 0; index < storm_blocks; index += 2) {
    std::free(left[index]);
    left[index] = nullptr;
  }
}

std::uint64_t run_storm(std::uint64_t divisor) {
  const std::uint64_t count = storm_threads / divisor;
  std::array<legacy, storm_alive> legacies{};
  std::array<std::thread, storm_alive> threads;
  for (std::uint64_t index = 0; index < count; ++index) {
    std::thread& slot = threads[index % storm_alive];
    if (slot.joinable()) {
      slot.join();
    }
    slot = std::thread(storm_body, std::ref(legacies[index % storm_alive]), index);
  }
  for (std::size_t index = 0; index < storm_alive; ++index) {
    if (threads[index].joinable()) {
      threads[index].join();
    }
    for (void* block : legacies[index]) {
      std::free(block);
    }
  }
  return count * storm_blocks;
}

constexpr std::size_t crowd_threads = 400;
constexpr std::size_t crowd_blocks = 300;
constexpr std::uint64_t crowd_rounds = 12;

// All allocate, all hold, then all replace half of what they hold a few times, and end.
void crowd_body(std::uint64_t seed, std::barrier<>& together) {
  random_source random(seed);
  std::array<void*, crowd_blocks> blocks{};
  for (int phase = 0; phase < 3; ++phase) {
    for (void*& block : blocks) {
      if (block && random.below(2) == 0) {
        continue;
      }
      std::free(block);
      const std::size_t size_bytes = random.size_between(4, 9);
      block = std::malloc(size_bytes);
      touch(block, size_bytes);
    }
    together.arrive_and_wait();
  }
  for (void* block : blocks) {
    std::free(block);
  }
}

std::uint64_t run_crowd(std::uint64_t divisor) {
  const std::uint64_t rounds = crowd_rounds > divisor ? crowd_rounds / divisor : 1;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::barrier<> together(crowd_threads);
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < crowd_threads; ++index) {
      threads.emplace_back(crowd_body, round * crowd_threads + index, std::ref(together));
    }
    for (std::thread& each : threads) {
      each.join();
    }
  }
  return rounds * crowd_threads * crowd_blocks * 2;
}

constexpr workload all[] = {
    {"thread_storm", "16,000 threads, four at a time, each allocates 48 blocks and ends", run_storm},
    {"thread_crowd", "400 threads at once, each holds 300 blocks of 16..511 bytes", run_crowd},
};

}  // namespace

workload_list storm_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
