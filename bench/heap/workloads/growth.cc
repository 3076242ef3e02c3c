// Growth by realloc: many buffers that grow side by side, and a few that become big. An allocator that can grow a block
// in place, or move its pages and not its bytes, is far ahead here.
#include <array>
#include <cstdlib>
#include <iterator>
#include <vector>

#include "workload.h"

namespace tenure::bench {
namespace {

struct buffer {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::size_t limit = 0;
};

// Grows by a half, as vectors and string builders do, and writes the part that is new.
void grow(buffer& which) {
  const std::size_t larger = which.size + which.size / 2 + 16;
  which.bytes = static_cast<char*>(std::realloc(which.bytes, larger));
  touch(which.bytes + which.size, larger - which.size);
  which.size = larger;
}

constexpr std::size_t many = 1000;
constexpr std::uint64_t many_turns = 2'000'000;

std::uint64_t run_many(std::uint64_t divisor) {
  random_source random(51);
  std::vector<buffer> buffers(many);
  const std::uint64_t count = many_turns / divisor;
  for (std::uint64_t turn = 0; turn < count; ++turn) {
    buffer& which = buffers[random.below(many)];
    if (which.size >= which.limit) {
      std::free(which.bytes);
      which = {.bytes = nullptr, .size = 0, .limit = random.size_between(6, 18)};
    }
    grow(which);
  }
  for (const buffer& each : buffers) {
    std::free(each.bytes);
  }
  return count;
}

constexpr std::size_t step_bytes = 48 * 1024;
constexpr std::size_t big_bytes = 24 * 1024 * 1024;
constexpr std::uint64_t big_rounds = 8;

// Two logs that grow in turns by a constant step, so that neither can stay at the end of the heap.
std::uint64_t run_big(std::uint64_t divisor) {
  const std::uint64_t rounds = big_rounds > divisor ? big_rounds / divisor : 1;
  std::uint64_t operations = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::array<char*, 2> logs{};
    for (std::size_t size = step_bytes; size <= big_bytes; size += step_bytes) {
      for (char*& log : logs) {
        log = static_cast<char*>(std::realloc(log, size));
        touch(log + size - step_bytes, step_bytes);
        ++operations;
      }
    }
    for (char* log : logs) {
      std::free(log);
    }
  }
  return operations;
}

constexpr workload all[] = {
    {"realloc_many", "1,000 buffers grow by halves to at most 256 KiB", run_many},
    {"realloc_big", "two buffers grow in turns by 48 KiB to 24 MiB", run_big},
};

}  // namespace

workload_list growth_workloads() { return {all, std::size(all)}; }

}  // namespace tenure::bench
