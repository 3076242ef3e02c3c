#include "instruments/cli/report_unwatched.h"

#include <fmt/format.h>

#include <vector>

#include "instruments/analyze/format.h"
#include "instruments/cli/program_check.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {

unwatched_reason why_unwatched(const std::string& executable) {
  const auto looked_at = executable.starts_with('/') ? check_program(executable)
                                                     : std::unexpected(program_refusal{refusal_kind::not_found, {}, 0});
  if (looked_at) return {"no_preload", "started without LD_PRELOAD"};
  switch (looked_at.error().kind) {
    case refusal_kind::static_program:
      return {"static", "linked statically"};
    case refusal_kind::raised_rights:
      return {"raised_rights", "runs with raised rights"};
    case refusal_kind::foreign_machine:
      return {"foreign_machine", "built for another machine"};
    case refusal_kind::foreign_loader:
    case refusal_kind::missing_loader:
      return {"foreign_loader", "not on glibc's loader"};
    case refusal_kind::not_found:
    case refusal_kind::not_executable:
    case refusal_kind::unknown_format:
      break;
  }
  return {"unknown", "its file cannot be looked at"};
}

std::string unwatched_text(const collect::recording& run, const palette& paint, int columns) {
  if (run.unwatched.empty()) return "";
  constexpr std::size_t shown_lines = 20;
  std::vector<table_row> rows;
  for (const collect::unwatched_program& one : run.unwatched) {
    if (rows.size() == shown_lines) break;
    rows.push_back(
        {{fmt::format("pid {}", one.pid), analyze::format_bytes(static_cast<double>(one.peak_resident_bytes)),
          why_unwatched(one.executable).text, one.executable},
         {}});
  }
  std::string text =
      fmt::format(
          "\n{}Not watched{}  {}, which Tenure was not loaded into\n", paint.warning, paint.reset,
          run.unwatched.size() == 1 ? std::string("a program") : fmt::format("{} programs", run.unwatched.size())) +
      format_table({{""}, {"peak RSS"}, {"", true}, {"program", true}}, rows, paint, columns);
  if (run.unwatched.size() > shown_lines)
    text += fmt::format("  and {} more; --json has them all\n", run.unwatched.size() - shown_lines);
  return text;
}

}  // namespace tenure::cli
