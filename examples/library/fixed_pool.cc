// The nodes of a list from a pool of blocks of their size, at most 1500 at once.
#include <cstdio>
#include <list>
#include <new>

#include <tenure/fixed_pool.hpp>

int main() {
  tenure::fixed_pool nodes({.name = "nodes", .block_bytes = 32, .limit_blocks = 1500});
  std::pmr::list<int> numbers(&nodes);
  try {
    for (int i = 0; i < 2000; ++i) numbers.push_back(i);
  } catch (const std::bad_alloc&) {
    std::printf("full with %zu numbers\n", numbers.size());
  }
  numbers.clear();
  std::printf("%zu bytes given back\n", nodes.trim());
  return nodes.statistics().held_bytes == 0 ? 0 : 1;
}
