// What threads cost. scaling: a fixed amount of work divided among 1 to 64 threads that each hold little, and what of
// the resident memory is one thread's. strands: 1,000 threads that live at once, allocate, free and end, a hundred
// times, and what stays resident when all is freed.
#include <array>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "measure.h"
#include "workload.h"

namespace tenure::bench {
namespace {

constexpr std::size_t held_blocks = 64;
constexpr std::uint64_t scaling_operations = 32'000'000;

using slots = std::array<void*, held_blocks>;

void replace_one(slots& held, random_source& random) {
  void*& block = held[random.below(held_blocks)];
  std::free(block);
  const std::size_t size_bytes = random.size_between(4, 9);
  block = std::malloc(size_bytes);
  touch(block, size_bytes);
}

void free_all(slots& held) {
  for (void*& block : held) {
    std::free(block);
    block = nullptr;
  }
}

}  // namespace

int run_scaling(const char* count_text) {
  const std::size_t count = std::strtoull(count_text, nullptr, 10);
  if (count == 0 || count > 1024) {
    std::fprintf(stderr, "tenure-bench-heap: scaling wants a number of threads from 1 to 1024\n");
    return 2;
  }
  std::barrier together(static_cast<std::ptrdiff_t>(count) + 1);
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < count; ++number) {
    threads.emplace_back([&together, number, count] {
      slots held{};
      random_source random(number + 1);
      together.arrive_and_wait();  // all are there: what they have cost until now is not the heap's
      together.arrive_and_wait();
      for (std::uint64_t turn = 0; turn < scaling_operations / count; ++turn) replace_one(held, random);
      together.arrive_and_wait();  // all hold what they hold
      together.arrive_and_wait();
      free_all(held);
    });
  }
  together.arrive_and_wait();
  const std::uint64_t before_bytes = rss_bytes();
  const reading before = read_now();
  together.arrive_and_wait();
  together.arrive_and_wait();
  const reading cost = read_now() - before;
  const std::uint64_t after_bytes = rss_bytes();
  together.arrive_and_wait();
  for (std::thread& each : threads) each.join();
  std::printf(
      "{\"name\": \"scaling\", \"threads\": %zu, \"operations\": %llu, \"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, "
      "\"thread_bytes\": %llu, \"malloc_from\": \"%s\"}\n",
      count, static_cast<unsigned long long>(scaling_operations), static_cast<double>(cost.wall_ns) / 1e9,
      static_cast<double>(cost.cpu_ns) / 1e9,
      static_cast<unsigned long long>(after_bytes > before_bytes ? (after_bytes - before_bytes) / count : 0),
      provider_of("malloc"));
  return 0;
}

int run_strands() {
  constexpr std::size_t strand_threads = 1000;
  constexpr std::size_t rounds = 100;
  static std::array<slots, strand_threads> left{};
  static std::array<std::uint64_t, rounds> rss_after_bytes{};
  const reading before = read_now();
  for (std::size_t round = 0; round < rounds; ++round) {
    std::barrier together(static_cast<std::ptrdiff_t>(strand_threads));
    std::vector<std::thread> threads;
    threads.reserve(strand_threads);
    for (std::size_t number = 0; number < strand_threads; ++number) {
      threads.emplace_back([&together, number, round] {
        random_source random(round * strand_threads + number);
        for (std::size_t turn = 0; turn < 2 * held_blocks; ++turn) replace_one(left[number], random);
        together.arrive_and_wait();
      });
    }
    for (std::thread& each : threads) each.join();
    for (slots& each : left) free_all(each);
    rss_after_bytes[round] = rss_bytes();
  }
  const reading cost = read_now() - before;
  std::printf(
      "{\"name\": \"strands\", \"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, \"peak_rss_bytes\": %llu, "
      "\"malloc_from\": \"%s\", \"rss_bytes_by_round\": [",
      static_cast<double>(cost.wall_ns) / 1e9, static_cast<double>(cost.cpu_ns) / 1e9,
      static_cast<unsigned long long>(peak_rss_bytes()), provider_of("malloc"));
  for (std::size_t round = 0; round < rounds; ++round) {
    std::printf("%s%llu", round ? ", " : "", static_cast<unsigned long long>(rss_after_bytes[round]));
  }
  std::printf("]}\n");
  return 0;
}

}  // namespace tenure::bench
