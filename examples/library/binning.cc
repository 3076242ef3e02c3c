// Nodes in a pool, their texts in a slab, what is large in the heap, each with figures of its own.
#include <cstdio>
#include <map>
#include <string>

#include <tenure/binning.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/slab.hpp>

int main() {
  tenure::fixed_pool nodes({.name = "nodes", .block_bytes = 80});
  tenure::slab texts({.name = "texts"});
  tenure::binning memory({.name = "documents", .bins = {{80, &nodes}, {4096, &texts}}});
  std::pmr::map<int, std::pmr::string> documents(&memory);
  for (int i = 0; i < 1000; ++i) documents[i] = std::pmr::string(static_cast<std::size_t>(100 + i * 10), 'x');
  std::printf("%llu blocks: %llu nodes, %llu texts, %llu large ones\n",
              static_cast<unsigned long long>(memory.statistics().used_blocks),
              static_cast<unsigned long long>(nodes.statistics().used_blocks),
              static_cast<unsigned long long>(texts.statistics().used_blocks),
              static_cast<unsigned long long>(memory.statistics().used_blocks - nodes.statistics().used_blocks -
                                              texts.statistics().used_blocks));
  return nodes.statistics().used_blocks == 1000 ? 0 : 1;
}
