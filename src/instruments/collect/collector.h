// Collector: starts the command, watches every process of it, and ends with a recording.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>

#include "instruments/collect/child_process.h"
#include "instruments/collect/recording.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::collect {

struct collector_options {
  child_command command;
  std::filesystem::path session;       // exists and is empty
  std::filesystem::path library;       // the file of the heap, that every watched program has mapped
  recording_writer* writer = nullptr;  // with it, every allocation and free is recorded there
  wire::recording_mode mode = wire::recording_mode::block;
  bool tells_free_stacks = false;
  bool scans_at_exit = false;      // each process looks for blocks that nothing leads to when it ends
  std::uint64_t scan_content = 0;  // what it is to tell: wire::scan_tells_holders, scan_maps_heap
  // Told once when the command has ended, and what it has left is still to be read and written.
  std::function<void()> on_end = {};
};

// Runs the command to its end. The error is the errno of the start that failed.
std::expected<recording, int> run_and_collect(const collector_options& options);

}  // namespace tenure::collect
