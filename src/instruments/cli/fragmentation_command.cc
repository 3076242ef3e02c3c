#include "instruments/cli/fragmentation_command.h"

#include <unistd.h>

#include <utility>

#include "instruments/cli/output_file.h"
#include "instruments/cli/recording_input.h"

namespace tenure::cli {
namespace {

std::expected<void, std::string> write(const fragmentation_options& options,
                                       const analyze::fragmentation_report& report) {
  const int descriptor = options.request.command.empty() ? STDOUT_FILENO : STDERR_FILENO;
  fragmentation_view view = options.view;
  view.is_at_exit = !options.request.command.empty();
  view.selected = analyze::describe(options.selected);
  if (!options.output) view.columns = text_columns(descriptor, usual_report_columns);
  const bool uses_color = !options.output && use_color(options.color, descriptor);
  const std::string text =
      options.is_json ? fragmentation_json(report, view) : fragmentation_text(report, view, colors(uses_color));
  if (options.output) return write_output(*options.output, text);
  if (!write_all(descriptor, text)) return std::unexpected("the answer cannot be written.");
  return {};
}

}  // namespace

int fragmentation_command(const fragmentation_options& options) {
  for (const auto& path : {options.output, options.request.recording}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked) return fail(failure{exit_usage, checked.error()});
  }
  scan_request request = options.request;
  request.content = wire::scan_maps_heap;
  auto scanned = request.pid != 0 ? scan_process(request) : scan_ends(request);
  if (!scanned) return fail(scanned.error());
  symbols::symbolizer symbolizer(symbol_options(options.uses_debuginfod));
  const auto report = analyze::find_fragments(std::move(scanned->run), symbolizer, options.selected, request.pid == 0);
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
