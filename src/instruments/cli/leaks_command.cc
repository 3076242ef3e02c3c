#include "instruments/cli/leaks_command.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/collect/recording_reader.h"

namespace tenure::cli {
namespace {

// What is written, and what the command ends with besides.
struct found_leaks {
  analyze::leak_report report;
  int exit_code = 0;  // of CMD
  std::optional<std::string> shortfall = {};
};

using looked_into = std::expected<found_leaks, failure>;

looked_into look_into_process(const leaks_options& options, const analyze::suppressions& suppressed) {
  auto scanned = scan_process(options.request);
  if (!scanned) return std::unexpected(scanned.error());
  progress_line progress("finding names");
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
  return found_leaks{
      analyze::find_leaks(std::move(scanned->run), symbolizer, suppressed, false, options.query.selected)};
}

looked_into look_at_ends_of(const leaks_options& options, const analyze::suppressions& suppressed) {
  auto scanned = scan_ends(options.request);
  if (!scanned) return std::unexpected(scanned.error());
  progress_line progress("finding names");
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
  return found_leaks{analyze::find_leaks(std::move(scanned->run), symbolizer, suppressed, true, options.query.selected),
                     scanned->exit_code, scanned->shortfall};
}

looked_into look_into_recording(const leaks_options& options, const analyze::suppressions& suppressed) {
  auto recorded = read_exactly(options.query);
  if (!recorded) return std::unexpected(failure{exit_usage, recorded.error()});
  if (const auto why_not =
          missing(recorded->source, collect::gap_times, "what was never freed", options.query.recording.string()))
    return std::unexpected(failure{exit_usage, *why_not});
  const std::string damage = damage_sentence(recorded->damage, recorded->is_complete);
  progress_line progress("finding names");
  symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
  found_leaks result{analyze::find_never_freed(std::move(*recorded), symbolizer, suppressed), damage.empty() ? 0 : 1};
  auto reader = collect::recording_reader::open(options.query.recording);
  if (!reader) return std::unexpected(failure{exit_usage, reader.error()});
  analyze::add_suspects(
      result.report,
      analyze::find_growth(*reader, symbolizer, {.selected = options.query.selected, .progress = progress.function()}),
      symbolizer, suppressed);
  if (!damage.empty()) result.report.notes.insert(result.report.notes.begin(), damage.substr(0, damage.size() - 1));
  return result;
}

bool has_leaks(const analyze::leak_report& report) {
  for (const analyze::leak_process& process : report.processes)
    for (const analyze::leak_kind kind : {analyze::leak_kind::definite, analyze::leak_kind::never_freed})
      if (process.totals[static_cast<std::size_t>(kind)].blocks != 0) return true;
  return false;
}

std::expected<void, std::string> write(const leaks_options& options, const analyze::leak_report& report) {
  const int descriptor = options.request.command.empty() ? STDOUT_FILENO : STDERR_FILENO;
  leaks_view view = options.view;
  view.is_at_exit = !options.request.command.empty();
  if (options.request.pid != 0 || view.is_at_exit) view.selected = analyze::describe(options.query.selected);
  view.tells_reachable = (options.request.content & wire::scan_tells_holders) != 0;
  if (!options.output) view.columns = text_columns(descriptor, usual_report_columns);
  const bool uses_color = !options.output && use_color(options.color, descriptor);
  const std::string text = options.is_json ? leaks_json(report, view) : leaks_text(report, view, colors(uses_color));
  if (options.output) return write_output(*options.output, text);
  if (!write_all(descriptor, text)) return std::unexpected("the answer cannot be written.");
  return {};
}

std::expected<void, failure> check_outputs(const leaks_options& options) {
  for (const auto& path : {options.output, options.request.recording}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked)
      return std::unexpected(failure{exit_usage, checked.error()});
  }
  return {};
}

}  // namespace

int leaks_command(const leaks_options& options) {
  // All that can be refused is refused before a program is run for an hour.
  if (const auto checked = check_outputs(options); !checked) return fail(checked.error());
  const auto suppressed = read_suppressions(options.suppressions);
  if (!suppressed) return fail(exit_usage, suppressed.error());
  const looked_into found = !options.request.command.empty() ? look_at_ends_of(options, *suppressed)
                            : options.request.pid != 0       ? look_into_process(options, *suppressed)
                                                             : look_into_recording(options, *suppressed);
  if (!found) return fail(found.error());
  if (const auto written = write(options, found->report); !written) {
    fail(exit_internal, written.error());
    return found->exit_code != 0 ? found->exit_code : exit_internal;
  }
  if (found->shortfall) fail(exit_internal, found->shortfall.value_or(""));
  if (found->exit_code != 0) return found->exit_code;
  if (found->shortfall) return exit_internal;
  return options.exit_code && has_leaks(found->report) ? *options.exit_code : 0;
}

}  // namespace tenure::cli
