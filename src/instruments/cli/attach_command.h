// `tenure attach`: watches a process that runs already on Tenure, and leaves it as it was.
//
//   without a file   samples, and at the end the report of `tenure run`
//   with one         every allocation and free, as `tenure record`
#pragma once

#include <cstdint>

#include "instruments/cli/record_command.h"
#include "instruments/cli/run_command.h"
#include "instruments/collect/attachable.h"

namespace tenure::cli {

struct attach_command_options {
  std::uint32_t pid = 0;
  std::uint64_t duration_ns = 0;         // 0: until it is told to stop, or the process ends
  std::optional<record_options> record;  // its command is empty; else samples are reported
  run_options report;                    // the same
};

// What a command ends with, and why, when it cannot attach.
failure failure_of(const collect::attach_failure& why);

int attach_command(const attach_command_options& options);

}  // namespace tenure::cli
