// Leak scan: what a process found when it looked for blocks that nothing leads to (wire/leak_scan.h), with what is
// known of each of them from elsewhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "wire/leak_scan.h"

namespace tenure::collect {

inline constexpr std::uint32_t no_index = std::numeric_limits<std::uint32_t>::max();

struct leaked_block {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;  // usable
  std::uint64_t sample_id = 0;
  wire::block_reach reach = wire::block_reach::definite;
  std::uint64_t leader = 0;  // of an indirect one: the definite block with which it would go
  wire::block_sum held{};    // of a definite one: those that would go with it
  // Of a block that was recorded or sampled:
  std::uint64_t requested_bytes = 0;
  std::uint64_t time_ns = 0;
  std::uint32_t stack = no_index;  // of the process's record
  std::uint32_t thread = no_index;
};

struct leak_scan {
  wire::leak_scan_header header{};
  std::vector<leaked_block> blocks;   // definite ones first, then possible, then indirect ones
  std::uint64_t refused_records = 0;  // that made no sense
};

enum class scan_state {
  there,    // the answer, whole
  awaited,  // the process is at it
  none,     // it is not, and has left no answer
};

// The file is the process's: it need not be one that a command can read from.
scan_state look_for_scan(const std::filesystem::path& path);
// Absent when there is none, or none that could be understood.
std::optional<leak_scan> read_leak_scan(const std::filesystem::path& path);

}  // namespace tenure::collect
