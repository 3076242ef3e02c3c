// The tenure command: reads its words against the command table and hands over to the command.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <expected>
#include <initializer_list>
#include <iostream>
#include <optional>
#include <system_error>

#include "instruments/cli/analysis_commands.h"
#include "instruments/cli/attach_command.h"
#include "instruments/cli/doctor_command.h"
#include "instruments/cli/engagement.h"
#include "instruments/cli/generate_command.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/options_table.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/record_command.h"
#include "instruments/cli/run_command.h"
#include "instruments/cli/simulate_command.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/top_command.h"
#include "instruments/cli/value_text.h"
#include "instruments/cli/version.h"
#include "instruments/collect/child_process.h"
#include "instruments/collect/recording_writer.h"

namespace tenure::cli {
namespace {

constexpr std::uint64_t least_last_ns = 100'000'000;
constexpr std::size_t most_top_rows = 10'000;

int fail_usage(const std::string& sentence) { return fail(exit_usage, sentence); }

int show_help(const std::vector<std::string>& words, int columns, const palette& paint) {
  if (words.empty()) {
    std::cout << overview(columns, paint);
    return 0;
  }
  const auto target = parse({words.front(), "--help"});
  if (!target) return fail_usage(target.error());
  std::cout << help_of(*target->command, columns, paint);
  return 0;
}

run_options run_options_of(const arguments& given) {
  run_options options;
  options.command = given.program;
  options.output = given.value("output");
  options.is_json = given.has("json");
  options.pprof = given.value("pprof");
  options.pprof_at_peak = given.value("pprof-at") == "peak";
  options.interval_bytes = given.bytes("sample-interval");
  options.is_full = given.has("full");
  options.recording = given.value("recording");
  options.drops = given.value("when-full") == "drop";
  options.tells_free_stacks = given.has("free-stacks");
  if (const auto top = given.value("top")) options.top = std::strtoull(top->c_str(), nullptr, 10);
  options.shows_all = given.has("all");
  options.is_quiet = given.has("quiet");
  options.uses_debuginfod = given.has("debuginfod");
  options.color = color_choice_named(given.value("color").value_or("auto"));
  options.preload = given.value("preload");
  return options;
}

int run(const arguments& given) {
  if (given.program.empty()) return fail_usage("run needs a command: " + command_usage(*given.command) + ".");
  for (const char* const needing : {"recording", "when-full", "free-stacks"})
    if (given.has(needing) && !given.has("full"))
      return fail_usage(std::string("--") + needing + " is of a full recording: give --full as well.");
  if (given.has("full") && given.has("sample-interval"))
    return fail_usage("--full records everything and samples nothing; leave --sample-interval out.");
  return run_command(run_options_of(given));
}

// What `record` and `attach` write; the error is a sentence.
std::expected<record_options, std::string> record_options_of(const arguments& given, const std::string& output) {
  record_options options;
  options.command = given.program;
  options.recording = output;
  options.drops = given.value("when-full") == "drop";
  options.tells_free_stacks = given.has("free-stacks");
  options.most_bytes = given.bytes("max-size").value_or(0);
  if (given.has("max-size") && options.most_bytes < collect::least_limit_bytes)
    return std::unexpected("--max-size takes 1M at least.");
  options.last_ns = parse_time(given.value("last").value_or("")).value_or(0);
  if (given.has("last") && options.last_ns < least_last_ns) return std::unexpected("--last takes 100ms at least.");
  options.is_quiet = given.has("quiet");
  options.preload = given.value("preload");
  return options;
}

int record(const arguments& given) {
  if (given.program.empty()) return fail_usage("record needs a command: " + command_usage(*given.command) + ".");
  const auto output = given.value("output");
  if (!output) return fail_usage("record needs a file to write to: tenure record -o FILE -- CMD ARGS...");
  const auto options = record_options_of(given, *output);
  return options ? record_command(*options) : fail_usage(options.error());
}

// Options of the other kind of attachment would be passed over in silence.
std::optional<std::string> misfit(const arguments& given) {
  const bool is_recorded = given.has("output");
  const auto first_of = [&](std::initializer_list<const char*> names) -> std::optional<std::string> {
    for (const char* const name : names)
      if (given.has(name)) return std::string("--") + name;
    return std::nullopt;
  };
  if (is_recorded) {
    if (const auto one = first_of({"sample-interval", "json", "pprof", "top", "all", "debuginfod"}))
      return *one + " is of a sampled report: -o records everything, and `tenure report` shows it.";
  } else if (const auto one = first_of({"when-full", "free-stacks", "max-size", "last"})) {
    return *one + " is of a recording: give -o FILE as well.";
  }
  return std::nullopt;
}

// 0 where it is no number of a process.
std::uint32_t process_of(const std::string& word) {
  std::uint32_t pid = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
  return error == std::errc{} && end == word.data() + word.size() ? pid : 0;
}

int attach(const arguments& given) {
  attach_command_options options;
  if (given.words.size() == 1) options.pid = process_of(given.words.front());
  if (options.pid == 0) return fail_usage("attach needs the number of a process: tenure attach PID.");
  if (const auto sentence = misfit(given)) return fail_usage(*sentence);
  if (given.bytes("sample-interval") == 0) return fail_usage("--sample-interval takes 4K at least.");
  options.duration_ns = parse_time(given.value("for").value_or("")).value_or(0);
  if (given.has("for") && options.duration_ns == 0) return fail_usage("--for takes more than no time.");
  options.report = run_options_of(given);
  options.report.output = "-";
  if (const auto output = given.value("output")) {
    const auto record = record_options_of(given, *output);
    if (!record) return fail_usage(record.error());
    options.record = *record;
  }
  return attach_command(options);
}

// The place of a choice among those of its option; the first without it.
std::size_t chosen_of(const arguments& given, std::string_view option, std::initializer_list<std::string_view> names) {
  const std::string chosen = given.value(std::string(option)).value_or("");
  const auto found = std::find(names.begin(), names.end(), chosen);
  return found == names.end() ? 0 : static_cast<std::size_t>(found - names.begin());
}

int top(const arguments& given) {
  top_options options;
  if (given.words.size() > 1) return fail_usage("top takes one process: tenure top PID.");
  if (!given.words.empty()) {
    options.pid = process_of(given.words.front());
    if (*options.pid == 0) return fail_usage("top needs the number of a process: tenure top PID.");
  }
  if (given.has("every")) options.every_ns = parse_time(given.value("every").value_or("")).value_or(0);
  if (options.every_ns < 50'000'000) return fail_usage("--every takes 50ms at least.");
  if (given.bytes("sample-interval") == 0) return fail_usage("--sample-interval takes 4K at least.");
  options.interval_bytes = given.bytes("sample-interval").value_or(0);
  for (const char* const of_once : {"rows", "json"})
    if (given.has(of_once) && !given.has("once"))
      return fail_usage("--" + std::string(of_once) + " is of a single picture: give --once as well.");
  options.is_json = given.has("json");
  if (options.is_json && !options.pid) return fail_usage("--json is of one process: tenure top --once --json PID.");
  options.filter = given.value("filter").value_or("");
  if (const auto rows = given.value("rows")) options.rows = std::strtoull(rows->c_str(), nullptr, 10);
  if (options.rows == 0 || options.rows > most_top_rows) return fail_usage("--rows takes 1 to 10000.");
  options.is_once = given.has("once");
  options.order = static_cast<top_order>(chosen_of(given, "by", {"live", "rate", "blocks", "allocated", "name"}));
  options.table =
      static_cast<top_table>(chosen_of(given, "table", {"functions", "lines", "modules", "threads", "accounts"}));
  options.uses_debuginfod = given.has("debuginfod");
  options.color = color_choice_named(given.value("color").value_or("auto"));
  return top_command(options);
}

int dispatch(const arguments& given) {
  const bool color = use_color(color_choice_named(given.value("color").value_or("auto")), STDOUT_FILENO);
  const int columns = text_columns(STDOUT_FILENO);
  const palette& paint = colors(color);
  const std::string_view name = given.command != nullptr ? given.command->name : "";
  if (given.wants_help)
    return show_help(name.empty() ? std::vector<std::string>{} : std::vector{std::string(name)}, columns, paint);
  if (given.wants_version || name == "version") {
    std::cout << version_text();
    return 0;
  }
  if (name == "help" || name.empty()) return show_help(given.words, columns, paint);
  if (name == "run") return run(given);
  if (name == "record") return record(given);
  if (name == "attach") return attach(given);
  if (name == "top") return top(given);
  if (const std::optional<int> code = analysis_command(given)) return *code;
  if (name == "simulate") return simulate_command(given);
  if (name == "doctor") return doctor_command({given.program, given.has("json"), color, columns});
  if (name == "options") {
    std::cout << (given.has("json") ? options_as_json() : options_as_text(columns, color));
    return 0;
  }
  if (name == "probe") return probe_command();
  return generate_command(given.words);
}

}  // namespace
}  // namespace tenure::cli

int main(int count, char** words) try {
  tenure::collect::survive_file_size_limit();
  const auto given = tenure::cli::parse(std::vector<std::string>(words + std::min(count, 1), words + count));
  if (!given) return tenure::cli::fail_usage(given.error());
  const int code = tenure::cli::dispatch(*given);
  // A full disk or a closed pipe must not look like success.
  if (!std::cout.flush()) return code != 0 ? code : 1;
  return code;
} catch (const std::exception& error) {
  std::cerr << "tenure: something went wrong within Tenure itself: " << error.what() << ".\n";
  return tenure::cli::exit_internal;
}
