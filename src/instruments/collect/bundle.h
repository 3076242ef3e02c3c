// Bundle: a recording with the names of all places in it, for machines that have neither the programs nor their debug
// files.
//
//   recording   run ─ process ─ dictionary ─ events ─ ... ─ run_end
//   bundle      run ─ process ─ dictionary ─ events ─ ... ─ run_end ─ names ─ named ─ named ...
//
// Blocks are copied as they are, without a look into their events.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "instruments/record/block_file.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::collect {

// A file in which a place has no name.
struct unnamed_module {
  std::string path;
  std::uint64_t places = 0;
};

struct bundle_figures {
  std::uint64_t places = 0;  // of all processes
  std::uint64_t named = 0;
  std::vector<unnamed_module> unnamed;  // the one with the most places first; code without a file is called ""
  bool is_complete = false;             // the recording's end is in it
  std::optional<std::string> damage;    // of the recording; what came before it was taken
};

// How much is done, from 0 to 1.
using bundle_progress = std::function<void(const char* doing, double share)>;

// Writes the recording with all names that are found here. The error is a sentence; what was written is of no use then.
std::expected<bundle_figures, std::string> write_bundle(const std::filesystem::path& recording,
                                                        record::block_writer& into, symbols::symbolizer& symbolizer,
                                                        const bundle_progress& progress);

}  // namespace tenure::collect
