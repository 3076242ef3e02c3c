// A table with a place for each number of 32 bits, of which few are used.
#include <cstdint>
#include <cstdio>

#include <tenure/lazy.hpp>

int main() {
  tenure::lazy memory({.name = "by id"});
  constexpr std::size_t places = std::size_t{1} << 32;
  auto* const of_id = static_cast<std::uint64_t*>(memory.allocate(places * sizeof(std::uint64_t)));
  for (std::size_t id = 0; id < places; id += places / 1000) of_id[id] = id;
  const std::size_t resident = memory.look();
  std::printf("%llu GiB of addresses, %zu KiB of memory\n", (unsigned long long)memory.reserved_bytes() >> 30,
              resident >> 10);
  memory.discard(of_id, places / 2 * sizeof(std::uint64_t));
  std::printf("%zu KiB after half of it is no longer needed\n", memory.look() >> 10);
  const bool is_right = of_id[0] == 0 && memory.statistics().held_bytes < resident;
  memory.deallocate(of_id, places * sizeof(std::uint64_t));
  return is_right && memory.statistics().held_bytes == 0 ? 0 : 1;
}
