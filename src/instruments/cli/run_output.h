// Run output: the report and the profile that `tenure run` and `tenure attach` end with.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/profile.h"
#include "instruments/cli/run_command.h"

namespace tenure::cli {

// What is written from.
struct run_answer {
  int exit_code = 0;  // of the program
  analyze::profile profile;
  std::optional<analyze::exact_report> exact = {};  // of a full recording, where a pprof profile is wanted
  std::optional<std::string> shortfall = {};        // the recording could not be written to its end: why
};

// Whether what is to be written can be; before anything is started.
std::expected<void, failure> check_run_outputs(const run_options& options);
// The report of what was sampled.
run_answer answer_of(collect::recording&& watched, const run_options& options);
// The exit code: the program's own, or one of Tenure's when something could not be written.
int write_answer(const run_options& options, const run_answer& answer);

}  // namespace tenure::cli
