#include "instruments/cli/imported_source.h"

#include <fmt/format.h>

#include <array>

#include "instruments/analyze/format.h"

namespace tenure::cli {
namespace {

using collect::recording_source;
using collect::source_gap;

struct gap_text {
  source_gap gap;
  const char* code;
  const char* what;
};
constexpr std::array<gap_text, 5> gaps = {{
    {collect::gap_lives, "lives", "which of several blocks of one stack and size was freed"},
    {collect::gap_threads, "threads", "which threads allocated and freed"},
    {collect::gap_times, "times", "when anything was allocated or freed"},
    {collect::gap_sizes, "sizes", "how long single blocks are"},
    {collect::gap_allocated, "allocated", "what was allocated and freed before"},
}};

std::string gap_list(const recording_source& source) {
  std::string text;
  for (const gap_text& one : gaps)
    if (!source.knows(one.gap)) text += fmt::format("{}{}", text.empty() ? "" : "; ", one.what);
  return text;
}

}  // namespace

std::string source_sentence(const recording_source& source) {
  std::string text = "imported from " + source.tool;
  if (source.gaps != 0) text += ", which does not tell: " + gap_list(source);
  if (source.time_step_ns != 0)
    text += fmt::format(". Its times go in steps of {}", analyze::format_duration(source.time_step_ns));
  if (source.sample_interval_bytes != 0)
    text += fmt::format(". Its figures are estimates, from a sample in {} on average",
                        analyze::format_bytes(static_cast<double>(source.sample_interval_bytes)));
  return text;
}

std::string source_text(const std::optional<recording_source>& source, int columns, const palette& paint) {
  if (!source) return {};
  return fmt::format("{}{}{}", paint.dim, wrapped("  " + source_sentence(*source), columns, 2), paint.reset);
}

void write_source(json_writer& json, const std::optional<recording_source>& source) {
  if (!source) return;
  json.begin_object("imported");
  json.member("tool", source->tool);
  json.begin_array("not_told");
  for (const gap_text& one : gaps)
    if (!source->knows(one.gap)) json.member({}, one.code);
  json.end_array();
  json.member("time_step_ns", static_cast<std::int64_t>(source->time_step_ns));
  json.member("sample_interval_bytes", static_cast<std::int64_t>(source->sample_interval_bytes));
  json.end_object();
}

std::optional<std::string> missing(const std::optional<recording_source>& source, std::uint64_t needed,
                                   const std::string& subject, const std::string& recording) {
  if (!source) return std::nullopt;
  for (const gap_text& one : gaps)
    if ((one.gap & needed) != 0 && !source->knows(one.gap))
      return fmt::format("{} cannot be told of {}: {} does not tell {}.", subject, recording, source->tool, one.what);
  return std::nullopt;
}

std::optional<std::string> unanswerable(const std::optional<recording_source>& source, const recording_query& query) {
  const auto asks = [&](const char* option, std::uint64_t needed) {
    return missing(source, needed, option, query.recording.string());
  };
  std::optional<std::string> why_not;
  if (query.at_ns) why_not = asks("--at", collect::gap_times);
  if (!why_not && query.selected.has_window()) why_not = asks("--window", collect::gap_times | collect::gap_lives);
  if (!why_not && !query.selected.thread.empty()) why_not = asks("--thread", collect::gap_threads);
  const bool has_sizes = query.selected.least_bytes != 0 || query.selected.most_bytes != analyze::no_end;
  if (!why_not && has_sizes) why_not = asks("--size", collect::gap_sizes);
  return why_not;
}

}  // namespace tenure::cli
