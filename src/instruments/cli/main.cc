// The tenure command: reads its words against the command table and hands over to the command.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "instruments/cli/analysis_commands.h"
#include "instruments/cli/doctor_command.h"
#include "instruments/cli/engagement.h"
#include "instruments/cli/generate_command.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/options_table.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/run_command.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/version.h"

namespace tenure::cli {
namespace {

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
  return run_command(run_options_of(given));
}

int record(const arguments& given) {
  if (given.program.empty()) return fail_usage("record needs a command: " + command_usage(*given.command) + ".");
  const auto output = given.value("output");
  if (!output) return fail_usage("record needs a file to write to: tenure record -o FILE -- CMD ARGS...");
  record_options options;
  options.command = given.program;
  options.recording = *output;
  options.drops = given.value("when-full") == "drop";
  options.is_quiet = given.has("quiet");
  options.preload = given.value("preload");
  return record_command(options);
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
  if (const std::optional<int> code = analysis_command(given)) return *code;
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
