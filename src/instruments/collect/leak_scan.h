// Leak scan: what a process found when it looked for blocks that nothing leads to (wire/leak_scan.h), with what is
// known of each of them from elsewhere; and, when asked for, what leads to the others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "wire/leak_scan.h"

namespace tenure::collect {

inline constexpr std::uint32_t no_index = std::numeric_limits<std::uint32_t>::max();

struct scanned_block {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;  // usable
  std::uint64_t sample_id = 0;
  wire::block_reach reach = wire::block_reach::definite;
  // Of a block that was recorded or sampled:
  std::uint64_t requested_bytes = 0;
  std::uint64_t time_ns = 0;
  std::uint32_t stack = no_index;  // of the process's record
  std::uint32_t thread = no_index;

  std::uint64_t known_bytes() const { return requested_bytes != 0 ? requested_bytes : bytes; }
};

struct leaked_block : scanned_block {
  std::uint64_t leader = 0;  // of an indirect one: the definite block with which it would go
  wire::block_sum held{};    // of a definite one: those that would go with it
};

// A block that is reachable or possible, by a shortest way from a root.
struct held_block : scanned_block {
  std::uint64_t place = 0;          // of the pointer to it
  std::uint64_t inside = 0;         // how far into this block it points
  std::uint32_t holder = no_index;  // the block that the pointer lies in, by its place before this one; else in a root
  std::uint32_t root = no_index;    // by its place; no_index: what leads to it is none of the known ones
};

struct scan_root {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  wire::root_kind kind = wire::root_kind::memory;
  std::uint32_t thread = 0;
  std::uint64_t base = 0;  // thread-local: the thread pointer; of a stack, its pointer
};

struct leak_scan {
  wire::leak_scan_header header{};
  std::vector<leaked_block> blocks;  // definite ones first, then possible, then indirect ones
  std::vector<held_block> held;      // each behind the one that holds it
  std::vector<scan_root> roots;
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
