// A table that threads on all nodes read, spread over the nodes page by page.
#include <cstdint>
#include <cstdio>
#include <system_error>
#include <vector>

#include <tenure/numa.hpp>

int main() {
  tenure::numa memory({.name = "routes", .policy = tenure::numa_policy::interleaved});
  try {
    std::pmr::vector<std::uint32_t> routes(std::size_t{1} << 20, 1, &memory);  // 4 MiB
    for (const tenure::numa_share& share : memory.bytes_by_node()) {
      std::printf("node %u: %zu KiB\n", share.node, share.bytes >> 10);
    }
  } catch (const std::system_error& error) {
    std::printf("%s\n", error.what());  // a container that forbids mbind
    return 0;
  }
  std::printf("%zu MiB given back\n", memory.trim() >> 20);
  return memory.statistics().held_bytes == 0 ? 0 : 1;
}
