#include "instruments/cli/recording_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/selection_options.h"
#include "instruments/cli/value_text.h"
#include "instruments/cli/watched_program.h"

namespace tenure::cli {

recording_query query_of(const arguments& given, const std::string& recording) {
  recording_query query;
  query.recording = recording;
  query.selected = selection_of(given);
  if (const auto at = given.value("at")) query.at_ns = parse_time(*at);
  query.uses_debuginfod = given.has("debuginfod");
  return query;
}

bool answer_form::uses_color() const { return !output && use_color(color, descriptor()); }

std::size_t top_of(const arguments& given, std::size_t usual) {
  const auto top = given.value("top");
  return top ? std::strtoull(top->c_str(), nullptr, 10) : usual;
}

answer_form form_of(const arguments& given) {
  answer_form form;
  form.output = given.value("output");
  form.is_json = given.has("json");
  form.shows_all = given.has("all");
  form.top = top_of(given, form.top);
  form.color = color_choice_named(given.value("color").value_or("auto"));
  form.is_beside_command = !given.program.empty();
  return form;
}

command_request request_of(const arguments& given) {
  command_request request;
  request.command = given.program;
  request.recording = given.value("recording");
  request.preload = given.value("preload");
  request.tells_free_stacks = given.has("free-stacks");
  return request;
}

int prepare(answer_form& form) {
  if (form.output) {
    if (const auto checked = check_output(*form.output); !checked) return fail(exit_usage, checked.error());
  } else {
    form.columns = std::max(least_report_columns, text_columns(form.descriptor(), usual_report_columns));
  }
  return 0;
}

int check_kept(const command_request& request, const answer_form& form) {
  if (!request.recording) return 0;
  if (const auto checked = check_output(*request.recording); !checked) return fail(exit_usage, checked.error());
  if (form.output && are_one_output(*request.recording, *form.output))
    return fail(exit_usage, fmt::format("'{}' is named for two outputs; give each its own.", form.output->string()));
  return 0;
}

symbols::symbolizer_options symbol_options(bool uses_debuginfod) {
  symbols::symbolizer_options options;
  options.cache_folder = symbols::default_cache_folder();
  options.use_debuginfod = uses_debuginfod;
  return options;
}

symbols::symbolizer_options symbol_options(bool uses_debuginfod, progress_line& progress) {
  symbols::symbolizer_options options = symbol_options(uses_debuginfod);
  options.observer = progress.lookups();
  return options;
}

std::expected<analyze::exact_report, std::string> read_exactly(const recording_query& query) {
  auto reader = collect::recording_reader::open(query.recording);
  if (!reader) return std::unexpected(reader.error());
  progress_line progress("reading");
  symbols::symbolizer symbolizer(symbol_options(query.uses_debuginfod, progress));
  analyze::exact_report report = analyze::analyze_exactly(*reader, symbolizer,
                                                          {.selected = query.selected,
                                                           .at_ns = query.at_ns,
                                                           .resolves_all_frames = query.resolves_all_frames,
                                                           .progress = progress.function()});
  if (const auto why_not = unanswerable(report.source, query)) return std::unexpected(*why_not);
  return report;
}

std::expected<analyze::run_figures, std::string> read_figures(const recording_query& query,
                                                              const analyze::figure_options& options) {
  auto report = read_exactly(query);
  if (!report) return std::unexpected(report.error());
  progress_line progress("finding names");
  symbols::symbolizer symbolizer(symbol_options(query.uses_debuginfod, progress));
  return analyze::figures_of(*report, symbolizer, options);
}

std::expected<analyze::suppressions, std::string> read_suppressions(const std::optional<std::filesystem::path>& path) {
  analyze::suppressions result;
  if (!path) return result;
  std::ifstream file(*path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return std::unexpected(fmt::format("'{}' cannot be read.", path->string()));
  const auto added = result.add(text.view());
  if (!added) return std::unexpected(fmt::format("'{}': {}.", path->string(), added.error()));
  return result;
}

std::string damage_sentence(const std::optional<std::string>& damage, bool is_complete) {
  if (damage) return fmt::format("The recording is damaged: {}.", *damage);
  if (is_complete) return {};
  return "The recording was cut off: `tenure record` did not come to its end. What is here is what it had written.";
}

int write_answer(const std::optional<std::filesystem::path>& output, std::string_view contents) {
  const auto written = write_output(output.value_or("-"), contents);
  return written ? 0 : fail(exit_internal, written.error());
}

int write_answer(const answer_form& form, std::string_view contents) {
  if (form.output || !form.is_beside_command) return write_answer(form.output, contents);
  return write_all(STDERR_FILENO, contents) ? 0 : fail(exit_internal, "the answer cannot be written.");
}

}  // namespace tenure::cli
