// What a workload cost, read from the kernel without allocating: the probe must not disturb the heap it looks at.
#pragma once

#include <cstdint>

namespace tenure::bench {

struct reading {
  std::uint64_t wall_ns;
  std::uint64_t cpu_ns;
  std::uint64_t minor_faults;
  std::uint64_t major_faults;
  std::uint64_t voluntary_switches;
};

reading read_now();
reading operator-(const reading& later, const reading& earlier);

// VmHWM and VmRSS of /proc/self/status.
std::uint64_t peak_rss_bytes();
std::uint64_t rss_bytes();

// The line of JSON that a workload's figures are told in.
void print_result(const char* name, std::uint64_t operations, const reading& cost, std::uint64_t peak_bytes,
                  std::uint64_t end_bytes);

// The file that a C symbol was bound to, as the dynamic loader sees it; an empty string where it cannot tell.
const char* provider_of(const char* symbol);

}  // namespace tenure::bench
