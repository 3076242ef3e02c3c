// `tenure run`: starts a program on Tenure's heap, watches it to its end and reports.
//
//   check the program and the outputs ──► watched_program ──► samples, or a full recording ──► analysis ──► report,
//   pprof
//
// Everything that can be refused is refused before the program starts; outputs appear whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/terminal.h"
#include "instruments/cli/watched_program.h"

namespace tenure::cli {

struct run_options {
  std::vector<std::string> command;                // CMD and its arguments; not empty
  std::optional<std::filesystem::path> output;     // of the report; standard error without it, standard output for "-"
  bool is_json = false;                            // the report as JSON
  std::optional<std::filesystem::path> pprof;      // a profile for `go tool pprof`
  bool pprof_at_peak = false;                      // its in-use values are those of the peak, not of the exit
  std::optional<std::uint64_t> interval_bytes;     // mean distance between samples; the heap's default without it
  bool is_full = false;                            // every allocation and free instead of samples
  std::optional<std::filesystem::path> recording;  // keeps what was recorded fully; else it is gone at the end
  bool drops = false;                              // of a full recording: what finds its ring full is lost, not awaited
  bool tells_free_stacks = false;                  // likewise: where each block is freed, too
  std::size_t top = 10;                            // rows of each table
  bool shows_all = false;                          // full reports for small processes too
  bool is_quiet = false;                           // no text report
  bool uses_debuginfod = false;
  color_choice color = color_choice::automatic;
  std::optional<std::filesystem::path> preload;  // the heap to preload; find_preload_library() without it
};

// The exit code of `tenure run`: the program's own, or one of Tenure's.
int run_command(const run_options& options);

}  // namespace tenure::cli
