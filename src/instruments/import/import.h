// Import: a file of another tool's, recognised by how it begins, as a recording.
//
//   file ──► unpacked_file ─┬─► heaptrack_reader ─┬─► imported_run ──► recording_writer
//                           └─► pprof_reader ─────┘
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>

#include "instruments/record/block_file.h"
#include "instruments/record/unpacked_file.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::importing {

struct import_figures {
  std::string tool;
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  bool tells_sums = false;       // and no single blocks; then there are no frees
  std::uint64_t live_bytes = 0;  // of sums
  std::uint64_t stacks = 0;
  std::uint64_t written_bytes = 0;
};

struct import_error {
  std::string sentence;
  bool is_of_output = false;  // else something is wrong with the file
};

// How much of the file is read, from 0 to 1.
using import_progress = std::function<void(const char* doing, double share)>;

// `name` is what errors call the file. The symbolizer is asked for places that have no name in it. What was written is
// of no use after an error.
std::expected<import_figures, import_error> import_file(record::unpacked_file& file, const std::string& name,
                                                        record::block_writer&& into, symbols::symbolizer& symbolizer,
                                                        const import_progress& progress);

}  // namespace tenure::importing
