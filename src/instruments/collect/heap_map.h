// Heap map: the spans of a process at one moment as it told them (wire/heap_map.h), and what is known of the blocks in
// use from elsewhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "instruments/collect/leak_scan.h"
#include "wire/heap_map.h"
#include "wire/heap_statistics.h"

namespace tenure::collect {

struct mapped_span {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  wire::mapped_kind kind = wire::mapped_kind::free_clean;
  std::uint64_t first_block = 0;
  std::uint64_t block_bytes = 0;
  std::uint32_t block_count = 0;
  std::uint32_t live_blocks = 0;
  std::uint32_t cached_blocks = 0;
  std::uint32_t batch_blocks = 0;
  std::uint32_t free_blocks = 0;    // in the span itself,
  std::uint32_t absent_blocks = 0;  // of which the memory of so many went back to the system,
  std::uint32_t unused_blocks = 0;  // and so many were never handed out
  std::uint64_t requested_bytes = 0;
  std::uint32_t first_live = 0;  // in heap_map::blocks, and live_blocks of them from there on
};

struct heap_map {
  wire::leak_scan_header header{};
  wire::heap_statistics statistics{};
  std::vector<mapped_span> spans;     // in order of their addresses
  std::vector<scanned_block> blocks;  // in use, in the same order
  bool is_cut = false;                // the rest of it made no sense, or was missing
};

// Absent when there is none, or none that could be understood.
std::optional<heap_map> read_heap_map(const std::filesystem::path& path);

}  // namespace tenure::collect
