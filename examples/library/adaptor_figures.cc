// What one part of a program asks for, counters on lines of their own, and a pool that may overflow.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <list>
#include <string>
#include <vector>

#include <tenure/adaptors.hpp>
#include <tenure/fixed_pool.hpp>

int main() {
  // Scopes count by themselves, one within another.
  tenure::statistics_resource_adaptor counted({.name = "parser"});
  std::int64_t peak_of_lines = 0;
  std::pmr::vector<std::pmr::string> fields(&counted);
  {
    const tenure::statistics_resource_adaptor::scope lines(counted);
    for (int line = 0; line < 100; ++line) {
      const std::pmr::string text(1000, 'x', &counted);
      if (line % 10 == 0) fields.emplace_back(text.substr(0, 200));
    }
    peak_of_lines = lines.counters().bytes.peak;
    std::printf("parsing took %lld blocks, at most %lld bytes at once, and left %lld bytes\n",
                static_cast<long long>(lines.counters().blocks.total), static_cast<long long>(peak_of_lines),
                static_cast<long long>(lines.counters().bytes.value));
  }

  // What each thread counts in begins a cache line, and nothing else lies in it.
  tenure::aligned_resource_adaptor apart({.name = "per thread", .alignment = 64, .upstream = &counted});
  void* const first = apart.allocate(sizeof(std::atomic<int>));
  void* const second = apart.allocate(sizeof(std::atomic<int>));
  const auto line_of = [](const void* block) { return reinterpret_cast<std::uintptr_t>(block) / 64; };
  const bool are_apart = reinterpret_cast<std::uintptr_t>(first) % 64 == 0 && line_of(first) != line_of(second);
  apart.deallocate(first, sizeof(std::atomic<int>));
  apart.deallocate(second, sizeof(std::atomic<int>));

  // A thousand nodes from a pool, and those that are too many from the heap.
  tenure::fixed_pool fast({.name = "fast", .block_bytes = 32, .limit_blocks = 1000});
  tenure::fallback_resource_adaptor nodes({.name = "nodes", .upstream = &fast});
  {
    std::pmr::list<int> numbers(&nodes);
    for (int i = 0; i < 1010; ++i) numbers.push_back(i);
    std::printf("%zu of %zu nodes are not from the pool\n", nodes.second_blocks(), numbers.size());
  }
  const bool is_right = peak_of_lines > 1000 && peak_of_lines < 20'000 && fields.size() == 10 && are_apart &&
                        nodes.fallbacks() == 10 && nodes.second_blocks() == 0 && fast.statistics().used_blocks == 0;
  return is_right ? 0 : 1;
}
