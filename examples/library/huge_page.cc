// A table that is read at random, in memory that huge pages back where the kernel has them.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <tenure/huge_page.hpp>

int main() {
  tenure::huge_page pages({.name = "table"});
  std::uint64_t sum = 0;
  {
    std::pmr::vector<std::uint64_t> table(std::size_t{4} << 20, 1, &pages);  // 32 MiB
    for (std::size_t i = 0, at = 0; i < 1000; ++i, at = (at + 1'618'033) % table.size()) sum += table[at];
    std::printf("%llu MiB held, %zu MiB of it in huge pages\n",
                static_cast<unsigned long long>(pages.statistics().held_bytes >> 20), pages.huge_bytes() >> 20);
  }
  std::printf("%zu MiB given back\n", pages.trim() >> 20);
  return sum == 1000 && pages.statistics().held_bytes == 0 ? 0 : 1;
}
