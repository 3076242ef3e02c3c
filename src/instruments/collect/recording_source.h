// Recording source: of a recording that was imported, which tool saw the program, and what that tool does not tell.
#pragma once

#include <cstdint>
#include <string>

namespace tenure::collect {

// What is not known. The bits stand in recordings.
enum source_gap : std::uint64_t {
  gap_lives = 1 << 0,      // which of several blocks of one stack and size was freed
  gap_threads = 1 << 1,    // who allocated and who freed
  gap_times = 1 << 2,      // when: all is of one moment
  gap_sizes = 1 << 3,      // of single blocks
  gap_allocated = 1 << 4,  // what was allocated until that moment
};
inline constexpr std::uint64_t gap_limit = 1 << 5;

// What is known of a stack where no single blocks are told. Sampled ones may hold more than was allocated.
struct stack_sum {
  std::uint32_t stack = 0;  // of the process's record
  std::uint64_t allocated_blocks = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t live_bytes = 0;
};

struct recording_source {
  std::string tool;                         // "heaptrack 1.4.0"
  std::uint64_t gaps = 0;                   // source_gap
  std::uint64_t time_step_ns = 0;           // how finely times are told; 0: exactly
  std::uint64_t sample_interval_bytes = 0;  // figures are estimates from samples this far apart; 0: counted

  bool knows(source_gap what) const { return (gaps & what) == 0; }
};

}  // namespace tenure::collect
