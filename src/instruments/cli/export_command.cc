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
#include "instruments/export/heaptrack.h"
#include "instruments/export/pprof.h"
#include "instruments/export/speedscope.h"

namespace tenure::cli {
namespace {

using exporting::exact_measure;

exact_measure exact_measure_named(const std::string& value) {
  if (value == "alloc") return exact_measure::allocated;
  if (value == "freed") return exact_measure::freed;
  return value == "inuse" ? exact_measure::at_end : exact_measure::at_moment;
}

// Some formats have room for one process: the one that allocated most.
const analyze::exact_process& largest_of(const analyze::exact_report& report, std::string_view whose) {
  const auto largest = std::max_element(report.processes.begin(), report.processes.end(), [](auto& a, auto& b) {
    return a.totals.allocated.bytes < b.totals.allocated.bytes;
  });
  const std::uint32_t pid = largest->profile.record.pid;
  const bool has_other_pids = std::any_of(report.processes.begin(), report.processes.end(),
                                          [&](const auto& one) { return one.profile.record.pid != pid; });
  if (report.processes.size() > 1)
    say(fmt::format("{} format holds one process: this is {}, the largest of {}.{}", whose,
                    exporting::process_name(largest->profile), report.processes.size(),
                    has_other_pids ? " --process PID chooses another." : ""));
  return *largest;
}

// Where the walk has what is number `rank` among the processes that it takes.
std::size_t index_of(const analyze::recording_walk& walk, std::size_t rank) {
  std::size_t index = 0;
  for (;; ++index)
    if (walk.takes_process(index) && rank-- == 0) return index;
}

// heaptrack's format tells event by event: the recording is read once more, and the text written as it is read.
std::expected<bool, std::string> write_events(const analyze::exact_report& report, const export_options& options,
                                              const exporting::text_sink& sink) {
  const auto rank = static_cast<std::size_t>(&largest_of(report, "heaptrack's") - report.processes.data());
  auto reader = collect::recording_reader::open(options.query.recording);
  if (!reader) return std::unexpected(reader.error());
  progress_line progress("reading");
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
  analyze::recording_walk walk(*reader, symbolizer, options.query.selected, progress.function());
  return exporting::write_heaptrack(walk, index_of(walk, rank), sink);
}

// Returns 0, or what the command ends with.
int export_events(const analyze::exact_report& report, const export_options& options) {
  const std::filesystem::path path = options.output.value_or("-");
  auto output = pending_output::open(path);
  if (!output) return fail(exit_internal, output.error());
  const auto written = write_events(report, options, [&](auto piece) { return output->write(piece); });
  if (!written) return fail(exit_usage, written.error());
  const auto done = output->commit();
  return done ? 0 : fail(exit_internal, done.error());
}

// Formats and values that would have to tell what an imported recording does not know.
std::optional<std::string> unwritable(const analyze::exact_report& report, const export_options& options) {
  const std::string recording = options.query.recording.string();
  if (options.format == "dhat" || options.format == "speedscope" || options.format == "heaptrack")
    return missing(report.source, collect::gap_times, "what " + options.format + " shows of the peak and the end",
                   recording);
  if (options.format == "pprof" || options.value == "alloc")
    return missing(report.source, collect::gap_allocated, "what was allocated", recording);
  const bool knows_frees = std::any_of(report.processes.begin(), report.processes.end(),
                                       [](const analyze::exact_process& one) { return !one.frees.empty(); });
  if (options.value == "freed" && !knows_frees)
    return fmt::format("{} does not tell where blocks were freed: record it with --free-stacks.", recording);
  return std::nullopt;
}

std::expected<std::string, std::string> render(const analyze::exact_report& report, const export_options& options) {
  const exact_measure by = exact_measure_named(options.value);
  if (options.format == "folded") return exporting::write_folded(report, by, options.in_blocks);
  if (options.format == "csv") return exporting::write_csv(report);
  if (options.format == "dhat") return exporting::write_dhat(largest_of(report, "DHAT's"));
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
  const int code = report->damage || !report->is_complete ? 1 : 0;
  if (options.format == "heaptrack") {
    const int failed = export_events(*report, options);
    return failed != 0 ? failed : code;
  }
  const auto contents = render(*report, options);
  if (!contents) return fail(exit_internal, contents.error());
  if (const int failed = write_answer(options.output, *contents); failed != 0) return failed;
  return code;
}

}  // namespace tenure::cli
