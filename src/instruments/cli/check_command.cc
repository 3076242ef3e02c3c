#include "instruments/cli/check_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "instruments/cli/diff_command.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/recorded_command.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/value_text.h"

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;
using analyze::measure;
using analyze::run_figures;

struct limit_option {
  const char* name;
  measure of;
  limit_unit unit;
};

constexpr std::array<limit_option, 4> limit_options = {{
    {"max-peak", measure::held_bytes, limit_unit::bytes},
    {"max-leak", measure::left_bytes, limit_unit::bytes},
    {"max-allocations", measure::allocated_blocks, limit_unit::blocks},
    {"max-allocated", measure::allocated_bytes, limit_unit::bytes},
}};

analyze::gate gate_of(const limit_value& value, measure of, bool takes_sites) {
  return {of, value.name, takes_sites, {value.is_growth, value.share, value.amount}};
}

// --max-growth is a limit of each kind: bytes are no number of blocks, there the share counts alone.
void add_growth(std::vector<written_gate>& gates, const std::string& text, bool takes_sites) {
  const auto value = parse_limit(text, limit_unit::bytes);
  if (!value) return;
  for (const limit_option& one : limit_options) {
    const bool is_blocks = one.unit == limit_unit::blocks;
    if (is_blocks && value->share == 0 && value->amount != 0) continue;
    analyze::gate gate = gate_of(*value, one.of, takes_sites);
    gate.limit.is_growth = true;
    if (is_blocks) gate.limit.amount = 0;
    gates.push_back({gate, "--max-growth " + text});
  }
}

std::expected<run_figures, std::string> read_run(const check_options& options, const fs::path& path,
                                                 const analyze::suppressions& suppressed) {
  recording_query query = options.query;
  query.recording = path;
  auto figures = read_figures(query, {.peak_of_one = true, .suppressed = &suppressed});
  if (!figures) return figures;
  if (const auto why_not = missing(figures->source, collect::gap_times, "peaks and leaks", path.string()))
    return std::unexpected(*why_not);
  return figures;
}

// What keeps a run from telling all, or nothing.
std::string untold_of(const std::string& name, const run_figures& run) {
  if (run.process_count == 0) return name + " tells nothing: no process ran on Tenure's heap, or none was selected.";
  if (!run.is_whole) return name + " was cut off or is damaged.";
  if (run.is_shortened) return name + " was kept short: what was allocated before its beginning is not counted.";
  if (!run.is_exact) return name + " lost events, or the end of a process; `tenure report` says what.";
  return {};
}

std::expected<void, failure> check_outputs(const check_options& options) {
  std::optional<fs::path> kept;
  if (!options.command.empty() && !options.recording.empty()) kept = options.recording;
  for (const auto& path : {options.output, options.junit, kept}) {
    if (!path) continue;
    if (const auto checked = check_output(*path); !checked)
      return std::unexpected(failure{exit_usage, checked.error()});
  }
  return {};
}

std::expected<void, std::string> write(const check_options& options, const check_answer& answer) {
  const int descriptor = options.command.empty() ? STDOUT_FILENO : STDERR_FILENO;
  const bool uses_color = !options.output && use_color(options.color, descriptor);
  const std::string text =
      options.is_json ? check_json(answer) : check_text(answer, options.is_quiet, colors(uses_color));
  if (options.junit)
    if (const auto written = write_output(*options.junit, check_junit(answer)); !written) return written;
  if (options.output) return write_output(*options.output, text);
  if (!write_all(descriptor, text)) return std::unexpected("the answer cannot be written.");
  return {};
}

// What the limits are held against, and the answer.
struct comparison {
  std::vector<run_figures> before;
  analyze::difference compared;
};

check_answer judge_all(const check_options& options, comparison& with, const std::vector<run_figures>& measured) {
  check_answer answer;
  answer.subject = options.command.empty() ? options.recording.string() : joined(options.command);
  answer.selected = describe(options.query.selected);
  answer.ends_early = options.query.selected.end_ns != analyze::no_end;
  answer.suppressed = measured.front().suppressed;
  for (std::size_t i = 0; i < options.baselines.size(); ++i) {
    answer.baseline += (i == 0 ? "" : ", ") + options.baselines[i].string();
    if (std::string why = untold_of(options.baselines[i].string(), with.before[i]); !why.empty())
      answer.untold.push_back(std::move(why));
  }
  if (std::string why = untold_of(options.command.empty() ? answer.subject : "The recording", measured.front());
      !why.empty())
    answer.untold.push_back(std::move(why));
  // A program without Tenure in it may be the one that holds too much.
  for (const std::string& note : measured.front().notes) answer.untold.push_back(note + ".");
  with.compared = analyze::compare(with.before, measured, measure::held_bytes);
  for (const written_gate& one : options.gates)
    answer.gates.push_back({one, analyze::judge(one.gate, with.compared, options.top)});
  return answer;
}

}  // namespace

std::expected<std::vector<written_gate>, std::string> gates_of(const arguments& given) {
  std::vector<written_gate> result;
  const bool takes_sites = given.value("per") == "site";
  for (const limit_option& option : limit_options)
    for (const std::string& text : given.all(option.name))
      if (const auto value = parse_limit(text, option.unit))
        result.push_back({gate_of(*value, option.of, takes_sites), fmt::format("--{} {}", option.name, text)});
  for (const std::string& text : given.all("max-growth")) add_growth(result, text, takes_sites);
  if (result.empty())
    return std::unexpected(
        "check needs a limit: --max-peak, --max-leak, --max-allocations, --max-allocated or --max-growth.");
  bool has_growth = false;
  for (const written_gate& one : result) {
    has_growth |= one.gate.limit.is_growth;
    if (one.gate.limit.is_growth && !given.has("baseline"))
      return std::unexpected(one.written + " is a growth: --baseline FILE says over what.");
  }
  if (given.has("baseline") && !has_growth)
    return std::unexpected("--baseline needs a limit on growth, such as --max-growth 5% or --max-leak +0.");
  return result;
}

int check_command(const check_options& options) {
  // All that can be refused is refused before a program is run for an hour.
  if (const auto checked = check_outputs(options); !checked) return fail(checked.error());
  const auto suppressed = read_suppressions(options.suppressions);
  if (!suppressed) return fail(exit_usage, suppressed.error());
  comparison with;
  for (const fs::path& path : options.baselines) {
    auto figures = read_run(options, path, *suppressed);
    if (!figures) return fail(exit_usage, figures.error());
    with.before.push_back(std::move(*figures));
  }
  std::optional<recorded_command> ran;
  if (!options.command.empty()) {
    auto recorded =
        record_command({.command = options.command,
                        .recording = options.recording.empty() ? std::nullopt : std::optional(options.recording),
                        .preload = options.preload});
    if (!recorded) return fail(recorded.error());
    ran.emplace(std::move(*recorded));
  }
  auto measured = read_run(options, ran ? ran->kept.path() : options.recording, *suppressed);
  if (!measured) return fail(ran ? exit_internal : exit_usage, measured.error());
  check_answer answer = judge_all(options, with, {std::move(*measured)});
  if (ran && ran->shortfall) answer.untold.push_back(*ran->shortfall);
  const int exit_code = ran ? ran->run.exit_code : 0;
  if (const auto written = write(options, answer); !written) {
    fail(exit_internal, written.error());
    return exit_code != 0 ? exit_code : exit_internal;
  }
  return exit_code != 0 ? exit_code : answer.exit_code();
}

}  // namespace tenure::cli
