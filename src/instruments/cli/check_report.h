// The answer of `tenure check`: as text, as JSON, and as JUnit's XML.
#pragma once

#include <string>
#include <vector>

#include "instruments/analyze/gates.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {

struct written_gate {
  analyze::gate gate;
  std::string written;  // as the user gave it: "--max-peak 64M"
};

struct judged_gate {
  written_gate of;
  analyze::verdict verdict;
};

struct check_answer {
  std::string subject;  // the recording or the command
  std::string baseline;
  std::string selected;  // describe() of what was chosen
  std::vector<judged_gate> gates;
  std::vector<std::string> untold;   // why a limit that is not seen broken may be: sentences
  analyze::exact_amount suppressed;  // not counted as never freed
  bool ends_early = false;           // a window ends before the process does

  std::size_t broken_count() const;
  int exit_code() const;
};

std::string check_text(const check_answer& answer, bool is_quiet, const palette& paint);
std::string check_json(const check_answer& answer);
std::string check_junit(const check_answer& answer);

}  // namespace tenure::cli
