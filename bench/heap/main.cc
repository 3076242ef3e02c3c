// tenure-bench-heap: one workload a process, on the allocator the process was started with, one line of JSON at the
// end.
//
//   tenure-bench-heap --list
//   LD_PRELOAD=/some/allocator.so tenure-bench-heap larson [--divide N]
//   tenure-bench-heap burst | scattered | scaling THREADS | strands | replay TRACE
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

int run(const workload& which, std::uint64_t divisor) {
  const reading before = read_now();
  const std::uint64_t operations = which.run(divisor);
  const reading cost = read_now() - before;
  print_result(which.name, operations, cost, peak_rss_bytes(), rss_bytes());
  return 0;
}

// What is not part of the matrix: it sleeps, or is told in other figures than time and peak.
struct extra {
  const char* name;
  const char* argument;  // what it wants; null: nothing
  const char* what;
  int (*run)(const char* argument);
};

constexpr extra extras[] = {
    {"burst", nullptr, "1 GiB freed, then RSS each second for ten seconds", [](const char*) { return run_burst(); }},
    {"scattered", nullptr, "4 GiB freed in random order but for 1 %, then RSS likewise",
     [](const char*) { return run_scattered(); }},
    {"scaling", "THREADS", "the same work divided among threads, and a thread's memory", run_scaling},
    {"strands", nullptr, "1,000 threads start and end 100 times; what stays resident",
     [](const char*) { return run_strands(); }},
    {"replay", "TRACE", "what tenure-bench-trace has made of a recording, done again", run_replay},
};

int list_all() {
  for_each_workload([](const workload& each) { std::printf("%-20s %s\n", each.name, each.what); });
  for (const extra& each : extras) std::printf("%-20s %s (not part of the matrix)\n", each.name, each.what);
  return 0;
}

const extra* find_extra(int count, char** arguments) {
  for (const extra& each : extras) {
    const int wanted = each.argument == nullptr ? 2 : 3;
    if (count == wanted && std::strcmp(arguments[1], each.name) == 0) return &each;
  }
  return nullptr;
}

}  // namespace
}  // namespace tenure::bench

int main(int count, char** arguments) {
  using namespace tenure::bench;
  if (count >= 2 && std::strcmp(arguments[1], "--list") == 0) {
    return list_all();
  }
  if (const extra* other = find_extra(count, arguments)) {
    return other->run(arguments[2]);
  }
  const workload* which = count >= 2 ? find(arguments[1]) : nullptr;
  const bool divided = count == 4 && std::strcmp(arguments[2], "--divide") == 0;
  const std::uint64_t divisor = divided ? std::strtoull(arguments[3], nullptr, 10) : 1;
  if (!which || (count > 2 && !divided) || divisor == 0) {
    std::fprintf(stderr,
                 "usage: tenure-bench-heap --list | burst | scattered | scaling THREADS | strands | replay TRACE\n"
                 "       tenure-bench-heap WORKLOAD [--divide N]\n");
    return 2;
  }
  return run(*which, divisor);
}
