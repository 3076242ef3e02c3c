// A request at a time: everything that one needs goes away at once, and the memory is there for the next.
#include <cstdio>
#include <string>
#include <vector>

#include <tenure/arena.hpp>

struct header {
  std::pmr::string name, value;
};

std::size_t serve(tenure::arena& memory, int number) {
  tenure::arena::scope request(memory);
  auto* headers = memory.create<std::pmr::vector<header>>(&memory);
  for (int i = 0; i < 10; ++i) {
    headers->push_back({std::pmr::string("a header with a long name", &memory), std::pmr::string(50, 'v', &memory)});
  }
  return headers->size() + static_cast<std::size_t>(number % 2);
}

int main() {
  tenure::arena memory({.name = "request"});
  std::size_t sum = 0;
  for (int i = 0; i < 1000; ++i) sum += serve(memory, i);
  const tenure::resource_statistics figures = memory.statistics();
  std::printf("%zu headers; %s holds %llu bytes, %llu in use, at most %llu\n", sum, memory.name(),
              static_cast<unsigned long long>(figures.held_bytes), static_cast<unsigned long long>(figures.used_bytes),
              static_cast<unsigned long long>(figures.peak_used_bytes));
  return figures.used_bytes == 0 ? 0 : 1;
}
