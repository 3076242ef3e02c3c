// `tenure record`: starts a program as `tenure run` does, and writes every allocation and free to a file.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/watched_program.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::cli {

struct record_options {
  std::vector<std::string> command;  // CMD and its arguments; not empty
  std::filesystem::path recording;
  bool drops = false;              // what finds its ring full is counted and lost; else the program waits
  bool tells_free_stacks = false;  // where each block is freed, too
  std::uint64_t most_bytes = 0;    // of the recording, whose beginning is dropped instead; 0: no limit
  std::uint64_t last_ns = 0;       // at least so much of the end is kept; 0: all of it
  bool is_quiet = false;
  std::optional<std::filesystem::path> preload;
};

// The file, with its limits; the first thing to fail.
std::expected<collect::recording_writer, failure> make_writer(const record_options& options);
// Says where it is, unless something went wrong. The exit code, `exit_code` of the program being the best.
int finish_recording(const record_options& options, const collect::recording_writer& writer, int exit_code);

// The exit code of `tenure record`: the program's own, or one of Tenure's.
int record_command(const record_options& options);

}  // namespace tenure::cli
