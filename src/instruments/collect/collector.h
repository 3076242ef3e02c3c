// Collector: starts the command, watches every process of it, and ends with a recording.
//
//   session folder ──inotify──► region_reader ──► process_watch (one a process image)
//   signalfd       ──────────► relayed to the child; SIGCHLD: who ended
//   clock          ──────────► tick: drain the rings, sample memory
//
// One thread, asleep but for its ticks. A tick costs some ten microseconds a process; its distance grows from 1 ms,
// when a process is new or a ring fills, to 20 ms, and further when the collector's own share of processor time would
// pass its bound.
#pragma once

#include <expected>
#include <filesystem>

#include "instruments/collect/child_process.h"
#include "instruments/collect/recording.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::collect {

struct collector_options {
  child_command command;
  std::filesystem::path session;       // exists and is empty
  recording_writer* writer = nullptr;  // with it, every allocation and free is recorded there
  wire::recording_mode mode = wire::recording_mode::block;
};

// Runs the command to its end. The error is the errno of the start that failed.
std::expected<recording, int> run_and_collect(const collector_options& options);

}  // namespace tenure::collect
