// Report, as text for people: as wide as the terminal it goes to, colour only where it was asked for.
#pragma once

#include <string>

#include "instruments/analyze/profile.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

// In a file, and where nobody says. A terminal gets what it has, within these bounds: tables cannot be narrower.
inline constexpr int usual_report_columns = 100;
inline constexpr int least_report_columns = 80;

struct report_options {
  std::size_t top = 10;
  bool shows_all = false;
  bool uses_color = false;
  int columns = usual_report_columns;
};

std::string report_text(const analyze::profile& profile, const report_options& options);

// One process in full; a part of report_text().
std::string process_text(const analyze::process_profile& process, const report_options& options);

// Which processes deserve a full report: the main one, those whose peak is a tenth of the largest, or all of them.
// Those that left no sample and only became another program are in neither list.
struct process_selection {
  std::vector<std::size_t> in_full;
  std::vector<std::size_t> in_a_line;
};
process_selection select_processes(const analyze::profile& profile, bool shows_all);

// The command line in one string, as one might have typed it.
std::string command_text(const collect::process_record& record);

}  // namespace tenure::cli
