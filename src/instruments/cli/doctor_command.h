// `tenure doctor`: whether Tenure engages here, and what the machine lacks.
#pragma once

#include <string>
#include <vector>

namespace tenure::cli {

struct doctor_request {
  std::vector<std::string> program;  // empty: only the machine
  bool as_json = false;
  bool color = false;
  int columns = 80;
};

// Writes to standard output; the exit code is 0 when the heap engages, and can engage for the program, and 1 when not.
int doctor_command(const doctor_request& request);

}  // namespace tenure::cli
