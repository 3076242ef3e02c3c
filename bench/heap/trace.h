// A trace: the allocations and frees of one process in the order of time, as tenure-bench-trace writes them from a
// recording and the workload `replay` does them again.
//
//   trace_header | trace_operation * operations
#pragma once

#include <cstdint>

namespace tenure::bench {

inline constexpr std::uint64_t trace_magic = 0x3145434152544e54;  // "TNTRACE1"

struct trace_header {
  std::uint64_t magic = trace_magic;
  std::uint32_t threads = 0;
  std::uint32_t slots = 0;  // as many as blocks were ever alive at once
  std::uint64_t operations = 0;
};

enum class trace_kind : std::uint8_t {
  allocate = 0,
  allocate_zeroed = 1,
  allocate_aligned = 2,
  reallocate = 3,
  free = 4
};

struct trace_operation {
  std::uint64_t bytes = 0;      // as requested
  std::uint32_t slot = 0;       // that the block goes to, or leaves
  std::uint32_t from_slot = 0;  // reallocate: that of the block as it was
  std::uint32_t thread = 0;     // number 0 is the first that did anything
  trace_kind kind = trace_kind::allocate;
  std::uint8_t unused[3] = {};
};
static_assert(sizeof(trace_operation) == 24);

}  // namespace tenure::bench
