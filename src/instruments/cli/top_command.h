// `tenure top`: what a process that runs does with its memory, as it does it, in a terminal.
//
//   keys ─────────────────┐
//   attachment ─► moment ─► profile ─► top_figures ─► picture ─► terminal
//
// It attaches as `tenure attach` does. A picture is made once a second, less often where that would take more than a
// fifth of this command's time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "instruments/cli/terminal.h"
#include "instruments/cli/top_view.h"

namespace tenure::cli {

struct top_options {
  std::optional<std::uint32_t> pid;  // without it, the processes to choose from
  std::uint64_t every_ns = 1'000'000'000;
  std::uint64_t interval_bytes = 0;  // between samples; 0: as the process has it
  bool is_once = false;              // one picture, as text, to standard output
  bool is_json = false;              // of that one: as JSON
  std::size_t rows = 20;             // of that one
  std::string filter;                // a part of the rows' names
  top_order order = top_order::live;
  top_table table = top_table::functions;
  bool uses_debuginfod = false;
  color_choice color = color_choice::automatic;
};

int top_command(const top_options& options);

}  // namespace tenure::cli
