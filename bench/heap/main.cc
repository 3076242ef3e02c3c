// tenure-bench-heap: one workload a process, on the allocator the process was started with, one line of JSON at the
// end.
//
//   tenure-bench-heap --list
//   LD_PRELOAD=/some/allocator.so tenure-bench-heap larson [--divide N]
//   tenure-bench-heap burst
//
// One workload a process, because a heap remembers: what an earlier workload left behind would be charged to the next.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "measure.h"
#include "workload.h"

namespace tenure::bench {
namespace {

constexpr workload_list (*lists[])() = {pair_workloads,   batch_workloads,  hand_over_workloads, mixed_workloads,
                                        large_workloads,  growth_workloads, storm_workloads,     container_workloads,
                                        string_workloads, phase_workloads,  exchange_workloads,  zeroed_workloads,
                                        tree_workloads};

template <typename action>
void for_each_workload(action act) {
  for (auto list : lists) {
    const workload_list some = list();
    for (std::size_t index = 0; index < some.count; ++index) {
      act(some.first[index]);
    }
  }
}

const workload* find(const char* name) {
  const workload* found = nullptr;
  for_each_workload([&](const workload& candidate) {
    if (std::strcmp(candidate.name, name) == 0) {
      found = &candidate;
    }
  });
  return found;
}

void print_result(const workload& which, std::uint64_t operations, const reading& cost, std::uint64_t peak_bytes,
                  std::uint64_t end_bytes) {
  std::printf(
      "{\"name\": \"%s\", \"operations\": %llu, \"wall_seconds\": %.6f, \"cpu_seconds\": %.6f, "
      "\"peak_rss_bytes\": %llu, \"end_rss_bytes\": %llu, \"minor_faults\": %llu, \"major_faults\": %llu, "
      "\"voluntary_switches\": %llu, \"malloc_from\": \"%s\", \"new_from\": \"%s\"}\n",
      which.name, static_cast<unsigned long long>(operations), static_cast<double>(cost.wall_ns) / 1e9,
      static_cast<double>(cost.cpu_ns) / 1e9, static_cast<unsigned long long>(peak_bytes),
      static_cast<unsigned long long>(end_bytes), static_cast<unsigned long long>(cost.minor_faults),
      static_cast<unsigned long long>(cost.major_faults), static_cast<unsigned long long>(cost.voluntary_switches),
      provider_of("malloc"), provider_of("_Znwm"));
}

int run(const workload& which, std::uint64_t divisor) {
  const reading before = read_now();
  const std::uint64_t operations = which.run(divisor);
  const reading cost = read_now() - before;
  print_result(which, operations, cost, peak_rss_bytes(), rss_bytes());
  return 0;
}

int list_all() {
  for_each_workload([](const workload& each) { std::printf("%-20s %s\n", each.name, each.what); });
  std::printf("%-20s %s\n", "burst", "1 GiB freed, then RSS each second for ten seconds (not part of the matrix)");
  return 0;
}

}  // namespace
}  // namespace tenure::bench

int main(int count, char** arguments) {
  using namespace tenure::bench;
  if (count >= 2 && std::strcmp(arguments[1], "--list") == 0) {
    return list_all();
  }
  if (count >= 2 && std::strcmp(arguments[1], "burst") == 0) {
    return run_burst();
  }
  const workload* which = count >= 2 ? find(arguments[1]) : nullptr;
  const bool divided = count == 4 && std::strcmp(arguments[2], "--divide") == 0;
  const std::uint64_t divisor = divided ? std::strtoull(arguments[3], nullptr, 10) : 1;
  if (!which || (count > 2 && !divided) || divisor == 0) {
    std::fprintf(stderr, "usage: tenure-bench-heap --list | burst | WORKLOAD [--divide N]\n");
    return 2;
  }
  return run(*which, divisor);
}
