// Recorded command: CMD of the commands that run a program, record all that it does, and then answer from that:
//
//   tenure run --full, check, lifetimes, diff -- CMD      read the recording
//   tenure leaks, fragmentation -- CMD                    and what each process says of itself when it ends
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/kept_recording.h"
#include "instruments/cli/watched_program.h"
#include "instruments/collect/recording.h"

namespace tenure::cli {

struct command_request {
  std::vector<std::string> command = {};                    // and its arguments
  std::optional<std::filesystem::path> recording = {};      // where it is kept; without it, gone with `tenure`
  std::optional<std::filesystem::path> preload = {};        // the heap; find_preload_library() without it
  bool drops = false;                                       // what finds its ring full is lost, not awaited
  bool tells_free_stacks = false;                           // where each block is freed, too
  std::function<void(collect::collector_options&)> more{};  // what else is asked of whoever collects

  bool is_given() const { return !command.empty(); }
};

struct recorded_command {
  kept_recording kept;
  collect::recording run;                     // as it was watched
  std::optional<std::string> shortfall = {};  // the recording could not be written to its end: why
};

// To its end. What the answer is written to is looked at before.
std::expected<recorded_command, failure> record_command(const command_request& request);

// What the command ends with: CMD's own exit code where it is not 0, that of Tenure where the recording fell short,
// which is said, and otherwise that of the answer.
int exit_code_of(const recorded_command& recorded, int of_answer);

}  // namespace tenure::cli
