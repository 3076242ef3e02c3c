// Runs of a sort that wait on the disk until they are merged.
#include <cstdio>
#include <memory_resource>
#include <vector>

#include <tenure/mapped_file.hpp>

int main() {
  tenure::mapped_file scratch({.name = "sort runs", .folder = "/tmp", .limit_bytes = 64 << 20});
  std::vector<std::pmr::vector<int>> runs;
  for (int run = 0; run < 4; ++run) {
    runs.emplace_back(std::pmr::vector<int>(1 << 18, &scratch));  // 1 MiB each
    for (int& one : runs.back()) one = run;
  }
  scratch.sync();
  const bool is_out = scratch.page_out();  // as far as the kernel can
  std::printf("%llu bytes in the file, %zu of them in memory\n",
              static_cast<unsigned long long>(scratch.statistics().held_bytes), scratch.resident_bytes());
  long sum = 0;
  for (const auto& run : runs) {
    for (const int one : run) sum += one;
  }
  std::printf("%ld, read back %s\n", sum, is_out ? "from the file" : "from memory");
  return sum == 6L << 18 ? 0 : 1;
}
