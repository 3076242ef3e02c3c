// What `tenure leaks` says: for people, and for programs.
#pragma once

#include <string>

#include "instruments/analyze/leaks.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct leaks_view {
  std::string subject;      // whose leaks: a command line, a recording, a process
  bool is_at_exit = false;  // of a scan: when the process ended, not while it runs
  std::string selected;     // what was chosen of a scan; empty: everything
  bool tells_reachable = false;
  bool shows_all = false;  // indirect ones too, each with its stack, and every process
  std::size_t top = 20;    // sites of each kind
  int columns = usual_report_columns;
};

std::string leaks_text(const analyze::leak_report& report, const leaks_view& view, const palette& paint);
std::string leaks_json(const analyze::leak_report& report, const leaks_view& view);

}  // namespace tenure::cli
