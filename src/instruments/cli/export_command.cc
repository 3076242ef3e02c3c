#include "instruments/cli/export_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/watched_program.h"
#include "instruments/export/csv.h"
#include "instruments/export/dhat.h"
#include "instruments/export/folded.h"
#include "instruments/export/pprof.h"
#include "instruments/export/speedscope.h"

namespace tenure::cli {
namespace {

using exporting::exact_measure;

exact_measure measure_named(const std::string& value) {
  if (value == "alloc") return exact_measure::allocated;
  return value == "inuse" ? exact_measure::at_end : exact_measure::at_moment;
}

void say(const std::string& sentence) { write_all(STDERR_FILENO, sentence_for(STDERR_FILENO, "tenure: " + sentence)); }

// DHAT's format has room for one process: the one that allocated most.
std::string dhat_of_largest(const analyze::exact_report& report) {
  const auto largest = std::max_element(report.processes.begin(), report.processes.end(), [](auto& a, auto& b) {
    return a.totals.allocated.bytes < b.totals.allocated.bytes;
  });
  const std::uint32_t pid = largest->profile.record.pid;
  const bool has_other_pids = std::any_of(report.processes.begin(), report.processes.end(),
                                          [&](const auto& one) { return one.profile.record.pid != pid; });
  if (report.processes.size() > 1)
    say(fmt::format("DHAT's format holds one process: this is {}, the largest of {}.{}",
                    exporting::process_name(largest->profile), report.processes.size(),
                    has_other_pids ? " --process PID chooses another." : ""));
  return exporting::write_dhat(*largest);
}

// Formats and values that would have to tell what an imported recording does not know.
std::optional<std::string> unwritable(const analyze::exact_report& report, const export_options& options) {
  const std::string recording = options.query.recording.string();
  if (options.format == "dhat" || options.format == "speedscope")
    return missing(report.source, collect::gap_times, "what " + options.format + " shows of the peak and the end",
                   recording);
  if (options.format == "pprof" || options.value == "alloc")
    return missing(report.source, collect::gap_allocated, "what was allocated", recording);
  return std::nullopt;
}

std::expected<std::string, std::string> render(const analyze::exact_report& report, const export_options& options) {
  const exact_measure by = measure_named(options.value);
  if (options.format == "folded") return exporting::write_folded(report, by, options.in_blocks);
  if (options.format == "csv") return exporting::write_csv(report);
  if (options.format == "dhat") return dhat_of_largest(report);
  if (options.format == "pprof")
    return exporting::write_pprof(
        report, {.at_peak = by != exact_measure::at_end, .shows_allocated = by == exact_measure::allocated});
  exporting::measure_names names;
  if (options.query.at_ns) names.at_moment = "held at " + analyze::format_duration(*options.query.at_ns);
  if (options.query.selected.end_ns != analyze::no_end)
    names.at_end = "left at " + analyze::format_duration(options.query.selected.end_ns);
  return exporting::write_speedscope(report, by, names);
}

}  // namespace

int export_command(const export_options& options) {
  if (options.output) {
    if (const auto checked = check_output(*options.output); !checked) return fail(exit_usage, checked.error());
  } else if (options.format == "pprof" && isatty(STDOUT_FILENO) == 1) {
    return fail(exit_usage, "a pprof profile is no text for a terminal; name a file for it: -o heap.pb.gz.");
  }
  const auto report = read_exactly(options.query);
  if (!report) return fail(exit_usage, report.error());
  if (const std::string damage = damage_sentence(report->damage, report->is_complete); !damage.empty()) say(damage);
  if (report->processes.empty())
    return fail(exit_usage, options.query.selected.process != analyze::no_index
                                ? fmt::format("the recording has no process {}.", options.query.selected.process)
                                : "nothing was recorded: no process told an allocation.");
  for (const analyze::exact_process& process : report->processes)
    if (process.losses.allocations + process.losses.frees != 0)
      say(fmt::format("of {}, {} allocations and {} frees were lost when it was recorded: its figures are not exact.",
                      exporting::process_name(process.profile), process.losses.allocations, process.losses.frees));
  if (const auto why_not = unwritable(*report, options)) return fail(exit_usage, *why_not);
  const auto contents = render(*report, options);
  if (!contents) return fail(exit_internal, contents.error());
  if (const int failed = write_answer(options.output, *contents); failed != 0) return failed;
  return report->damage || !report->is_complete ? 1 : 0;
}

}  // namespace tenure::cli
