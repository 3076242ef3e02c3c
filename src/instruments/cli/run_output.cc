#include "instruments/cli/run_output.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "instruments/analyze/analyze.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/report_json.h"
#include "instruments/cli/report_text.h"
#include "instruments/export/pprof.h"

namespace tenure::cli {
namespace {

// A program's own "-" is taken by it; colour is asked of the place where the text goes.
std::string render(const run_options& options, const analyze::profile& profile) {
  constexpr std::size_t json_site_limit = 1000;
  if (options.is_json) return report_json(profile, json_site_limit);
  report_options shown;
  shown.top = options.top;
  shown.shows_all = options.shows_all;
  if (options.output && *options.output != "-") {
    shown.uses_color = options.color == color_choice::always;
  } else {
    const int descriptor = options.output ? STDOUT_FILENO : STDERR_FILENO;
    shown.uses_color = use_color(options.color, descriptor);
    shown.columns = std::max(least_report_columns, text_columns(descriptor, usual_report_columns));
  }
  return report_text(profile, shown);
}

std::expected<void, std::string> write_report(const run_options& options, const analyze::profile& profile) {
  if (options.is_quiet && !options.is_json) return {};
  const std::string report = render(options, profile);
  if (options.output) return write_output(*options.output, report);
  if (!write_all(STDERR_FILENO, report)) return std::unexpected("the report cannot be written to standard error.");
  return {};
}

std::expected<void, std::string> write_profile(const run_options& options, const run_answer& of) {
  if (!options.pprof) return {};
  const exporting::pprof_options wanted{.at_peak = options.pprof_at_peak};
  const auto contents =
      of.exact ? exporting::write_pprof(*of.exact, wanted) : exporting::write_pprof(of.profile, wanted);
  if (!contents) return std::unexpected(contents.error());
  return write_output(*options.pprof, *contents);
}

}  // namespace

std::expected<void, failure> check_run_outputs(const run_options& options) {
  std::vector<std::filesystem::path> named;
  for (const auto& given : {options.output, options.pprof, options.recording}) {
    if (!given) continue;
    const std::filesystem::path& path = *given;
    if (const auto checked = check_output(path); !checked) return std::unexpected(failure{exit_usage, checked.error()});
    for (const auto& earlier : named)
      if (are_one_output(earlier, path))
        return std::unexpected(
            failure{exit_usage, fmt::format("'{}' is named for two outputs; give each its own.", path.string())});
    named.push_back(path);
  }
  return {};
}

run_answer answer_of(collect::recording&& watched, const run_options& options) {
  const int exit_code = watched.exit_code;
  progress_line progress("finding names");
  symbols::symbolizer symbolizer(symbol_options(options.uses_debuginfod, progress));
  return {exit_code,
          analyze::analyze(std::move(watched), symbolizer,
                           {.resolve_all_frames = options.pprof.has_value(), .progress = progress.function()})};
}

int write_answer(const run_options& options, const run_answer& answer) {
  // Somebody who closes the pipe early wants no more of the report; the program's exit code stays.
  ::signal(SIGPIPE, SIG_IGN);
  bool is_complete = true;
  const auto miss = [&](const std::string& why) {
    fail(exit_internal, why);
    is_complete = false;
  };
  if (const auto& shortfall = answer.shortfall) miss(*shortfall);
  for (const auto& written : {write_report(options, answer.profile), write_profile(options, answer)})
    if (!written) miss(written.error());
  return is_complete || answer.exit_code != 0 ? answer.exit_code : exit_internal;
}

}  // namespace tenure::cli
