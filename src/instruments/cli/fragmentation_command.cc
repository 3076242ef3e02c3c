#include "instruments/cli/fragmentation_command.h"

#include <unistd.h>

#include <utility>

#include "instruments/cli/output_file.h"
#include "instruments/cli/recorded_fragments_report.h"
#include "instruments/cli/recording_input.h"

namespace tenure::cli {
namespace {

std::expected<void, std::string> write(const fragmentation_options& options,
                                       const analyze::fragmentation_report& report) {
  const int descriptor = options.request.command.empty() ? STDOUT_FILENO : STDERR_FILENO;
  fragmentation_view view = options.view;
  view.is_at_exit = !options.request.command.empty();
  view.selected = analyze::describe(options.query.selected);
  if (!options.output) view.columns = text_columns(descriptor, usual_report_columns);
  const bool uses_color = !options.output && use_color(options.color, descriptor);
  const std::string text =
      options.is_json ? fragmentation_json(report, view) : fragmentation_text(report, view, colors(uses_color));
  if (options.output) return write_output(*options.output, text);
  if (!write_all(descriptor, text)) return std::unexpected("the answer cannot be written.");
  return {};
}

int of_recording(const fragmentation_options& options) {
  auto reader = collect::recording_reader::open(options.query.recording);
  if (!reader) return fail(failure{exit_usage, reader.error()});
  analyze::recorded_fragmentation_report report;
  {
    progress_line progress("reading");
    symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
    report = analyze::find_recorded_fragments(*reader, symbolizer,
                                              {.selected = options.query.selected,
                                               .at_ns = options.query.at_ns,
                                               .at_peak = options.at_peak,
                                               .progress = progress.function()});
  }
  if (report.source)
    return fail(failure{exit_usage, options.query.recording.string() + " was imported from " + report.source->tool +
                                        ", whose heap is not Tenure's: nothing is known of it."});
  fragmentation_view view = options.view;
  view.selected = analyze::describe(options.query.selected);
  if (!options.output) view.columns = text_columns(STDOUT_FILENO, usual_report_columns);
  const bool uses_color = !options.output && use_color(options.color, STDOUT_FILENO);
  const std::string text = options.is_json ? recorded_fragments_json(report, view)
                                           : recorded_fragments_text(report, view, colors(uses_color));
  if (const int failed = write_answer(options.output, text); failed != 0) return failed;
  return report.damage || !report.is_complete ? 1 : 0;
}

}  // namespace

int fragmentation_command(const fragmentation_options& options) {
  for (const auto& path : {options.output, options.request.recording}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked) return fail(failure{exit_usage, checked.error()});
  }
  if (options.request.pid == 0 && options.request.command.empty()) return of_recording(options);
  scan_request request = options.request;
  request.content = wire::scan_maps_heap;
  auto scanned = request.pid != 0 ? scan_process(request) : scan_ends(request);
  if (!scanned) return fail(scanned.error());
  analyze::fragmentation_report report;
  {
    progress_line progress("looking through the heap");
    symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
    report = analyze::find_fragments(std::move(scanned->run), symbolizer, options.query.selected, request.pid == 0);
  }
  if (const auto written = write(options, report); !written) {
    fail(failure{exit_internal, written.error()});
    return scanned->exit_code != 0 ? scanned->exit_code : exit_internal;
  }
  const std::optional<std::string>& shortfall = scanned->shortfall;
  if (shortfall) fail(failure{exit_internal, *shortfall});
  if (scanned->exit_code != 0) return scanned->exit_code;
  return shortfall ? exit_internal : 0;
}

}  // namespace tenure::cli
