// What `tenure fragmentation` says: for people, and for programs.
#pragma once

#include <string>

#include "instruments/analyze/fragmentation.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct fragmentation_view {
  std::string subject;      // whose heap: a command line, a process
  std::string selected;     // what was chosen of the sites; empty: all
  bool is_at_exit = false;  // when the process ended, not while it runs
  bool shows_all = false;   // every process, not only those that hold a tenth of what the largest one does
  std::size_t top = 10;     // rows of each table
  int columns = usual_report_columns;
};

std::string fragmentation_text(const analyze::fragmentation_report& report, const fragmentation_view& view,
                               const palette& paint);
std::string fragmentation_json(const analyze::fragmentation_report& report, const fragmentation_view& view);

}  // namespace tenure::cli
