#include "instruments/cli/analysis_commands.h"

#include <fmt/format.h>
#include <signal.h>

#include <charconv>
#include <cstdlib>
#include <initializer_list>
#include <system_error>
#include <utility>

#include "instruments/cli/bundle_command.h"
#include "instruments/cli/check_command.h"
#include "instruments/cli/diff_command.h"
#include "instruments/cli/export_command.h"
#include "instruments/cli/fragmentation_command.h"
#include "instruments/cli/import_command.h"
#include "instruments/cli/leaks_command.h"
#include "instruments/cli/lifetimes_report.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/recording_report.h"
#include "instruments/cli/selection_options.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/value_text.h"

namespace tenure::cli {
namespace {

// What is wrong with the words of a command that takes one recording, or nothing.
std::string objection(const arguments& given) {
  if (given.words.size() != 1)
    return std::string(given.command->name) + " needs one recording: " + command_usage(*given.command) + ".";
  if (given.has("at") && given.has("peak")) return "--at and --peak name two moments; give one of them.";
  return {};
}

int report(const arguments& given) {
  recording_report_options options;
  options.query = query_of(given, given.words.front());
  static_cast<answer_form&>(options) = form_of(given);
  return report_command(options);
}

// Options of a command, where none is given, would be passed over in silence.
std::string without_command(const arguments& given) {
  if (!given.program.empty()) return {};
  for (const char* const of_command : {"recording", "free-stacks", "preload"})
    if (given.has(of_command))
      return fmt::format("--{} is of a command: tenure {} ... -- CMD ARGS...", of_command, given.command->name);
  return {};
}

int lifetimes(const arguments& given) {
  if (given.words.size() + (given.program.empty() ? 0 : 1) != 1)
    return fail(exit_usage, "lifetimes needs one recording or one command: " + command_usage(*given.command) + ".");
  if (const std::string wrong = without_command(given); !wrong.empty()) return fail(exit_usage, wrong);
  lifetimes_options options;
  options.request = request_of(given);
  options.query = query_of(given, given.program.empty() ? given.words.front() : "");
  static_cast<answer_form&>(options) = form_of(given);
  return lifetimes_command(options);
}

analyze::measure measure_named(const std::string& name) {
  if (name == "allocated") return analyze::measure::allocated_bytes;
  if (name == "blocks") return analyze::measure::allocated_blocks;
  return name == "left" ? analyze::measure::left_bytes : analyze::measure::held_bytes;
}

int diff(const arguments& given) {
  diff_options options;
  const auto moments = parse_time_range(given.value("at").value_or(""));
  const bool has_command = !given.program.empty();
  if (given.words.size() != (moments || has_command ? 1u : 2u))
    return fail(exit_usage, "diff needs two recordings, a recording and a command, or --at A..B and a recording: " +
                                command_usage(*given.command) + ".");
  if (moments && has_command) return fail(exit_usage, "--at A..B is of one recording, without a command.");
  if (const std::string wrong = without_command(given); !wrong.empty()) return fail(exit_usage, wrong);
  options.request = request_of(given);
  options.before = recordings_named(given.words.front());
  if (!has_command) options.after = recordings_named(given.words.back());
  if (moments) {
    if (options.before.size() != 1) return fail(exit_usage, "--at A..B is of one recording.");
    if (moments->last == no_bound) return fail(exit_usage, "--at needs both moments: --at A..B.");
    options.moment_before_ns = moments->first;
    options.moment_after_ns = moments->last;
  }
  options.query = query_of(given, {});
  options.query.at_ns.reset();
  options.by = measure_named(given.value("by").value_or("held"));
  if (moments && options.by != analyze::measure::held_bytes)
    return fail(exit_usage, "two moments of one recording differ in what is held, not in --by " +
                                given.value("by").value_or("") + ".");
  static_cast<answer_form&>(options) = form_of(given);
  return diff_command(options);
}

int check(const arguments& given) {
  check_options options;
  if (given.words.size() + (given.program.empty() ? 0 : 1) != 1)
    return fail(exit_usage, "check needs one recording or one command: " + command_usage(*given.command) + ".");
  for (const char* const of_command : {"recording", "preload"})
    if (given.program.empty() && given.has(of_command))
      return fail(exit_usage, std::string("--") + of_command + " is of a command: tenure check LIMITS -- CMD ARGS...");
  auto gates = gates_of(given);
  if (!gates) return fail(exit_usage, gates.error());
  options.gates = std::move(*gates);
  options.command = given.program;
  options.recording = given.program.empty() ? given.words.front() : given.value("recording").value_or("");
  if (const auto baseline = given.value("baseline")) options.baselines = recordings_named(*baseline);
  options.query = query_of(given, {});
  options.suppressions = given.value("suppressions");
  options.output = given.value("output");
  options.junit = given.value("junit");
  options.is_json = given.has("json");
  options.is_quiet = given.has("quiet");
  options.top = top_of(given, options.top);
  options.color = color_choice_named(given.value("color").value_or("auto"));
  options.preload = given.value("preload");
  return check_command(options);
}

// "4711" is a process, "./4711" a file.
bool names_process(const std::string& word) { return word.find_first_not_of("0123456789") == std::string::npos; }

// The process that a word names.
std::optional<std::uint32_t> process_named(const std::string& word) {
  std::uint32_t pid = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
  if (error != std::errc{} || end != word.data() + word.size() || pid == 0) return std::nullopt;
  return pid;
}

// Options of another of the three uses would be passed over in silence.
std::optional<std::string> misfit(const arguments& given, bool is_of_process, bool is_of_recording) {
  if (is_of_process)
    for (const char* const of_others : {"window", "process"})
      if (given.has(of_others))
        return fmt::format("--{} is of a recording or a command: tenure leaks FILE, tenure leaks -- CMD.", of_others);
  if (is_of_recording && given.has("reachable"))
    return "--reachable is of a process or a command: a recording does not say what leads to a block.";
  if (!is_of_process && given.has("wait")) return "--wait is of a process that runs: tenure leaks PID.";
  for (const char* const of_command : {"recording", "preload"})
    if (given.program.empty() && given.has(of_command))
      return fmt::format("--{} is of a command: tenure leaks -- CMD ARGS...", of_command);
  return std::nullopt;
}

int leaks(const arguments& given) {
  if (given.words.size() + (given.program.empty() ? 0 : 1) != 1)
    return fail(exit_usage,
                "leaks needs one process, one recording or one command: " + command_usage(*given.command) + ".");
  leaks_options options;
  const bool is_of_command = !given.program.empty();
  const bool is_of_process = !is_of_command && names_process(given.words.front());
  const bool is_of_recording = !is_of_command && !is_of_process;
  if (const auto sentence = misfit(given, is_of_process, is_of_recording)) return fail(exit_usage, *sentence);
  if (is_of_process) {
    const auto pid = process_named(given.words.front());
    if (!pid) return fail(exit_usage, "there can be no process " + given.words.front() + ".");
    options.request.pid = *pid;
  }
  options.request.command = given.program;
  if (is_of_recording) options.query = query_of(given, given.words.front());
  options.query.selected = selection_of(given);
  if (given.has("reachable")) options.request.content = wire::scan_tells_holders;
  options.query.uses_debuginfod = given.has("debuginfod");
  options.request.recording = given.value("recording");
  options.suppressions = given.value("suppressions");
  options.output = given.value("output");
  options.is_json = given.has("json");
  if (const auto code = given.value("exit-code")) {
    options.exit_code = std::atoi(code->c_str());
    if (*options.exit_code < 1 || *options.exit_code > 255) return fail(exit_usage, "--exit-code takes 1 to 255.");
  }
  options.request.patience_ns = parse_time(given.value("wait").value_or("")).value_or(options.request.patience_ns);
  options.view.subject = given.program.empty() ? given.words.front() : joined(given.program);
  options.view.shows_all = given.has("all");
  options.view.top = top_of(given, options.view.top);
  options.color = color_choice_named(given.value("color").value_or("auto"));
  options.request.preload = given.value("preload");
  return leaks_command(options);
}

// Of fragmentation's three uses: an option of another one.
std::optional<std::string> misplaced(const arguments& given, bool is_of_process, bool is_of_recording) {
  const auto find = [&](std::initializer_list<const char*> names) -> const char* {
    for (const char* const name : names)
      if (given.has(name)) return name;
    return nullptr;
  };
  if (const char* const name = given.program.empty() ? find({"recording", "preload"}) : nullptr)
    return fmt::format("--{} is of a command: tenure fragmentation -- CMD ARGS...", name);
  if (const char* const name = is_of_process ? find({"window", "process"}) : nullptr)
    return fmt::format("--{} is of a recording or a command: tenure fragmentation FILE, or -- CMD ARGS...", name);
  if (const char* const name = is_of_recording ? nullptr : find({"at", "peak"}))
    return fmt::format("--{} is of a recording: tenure fragmentation FILE.", name);
  if (!is_of_process && given.has("wait")) return "--wait is of a process that runs: tenure fragmentation PID.";
  if (given.has("at") && given.has("peak")) return "--at and --peak name two moments; give one of them.";
  return std::nullopt;
}

int fragmentation(const arguments& given) {
  if (given.words.size() + (given.program.empty() ? 0 : 1) != 1)
    return fail(exit_usage, "fragmentation needs one process, one recording or one command: " +
                                command_usage(*given.command) + ".");
  fragmentation_options options;
  const bool is_of_process = given.program.empty() && names_process(given.words.front());
  const bool is_of_recording = given.program.empty() && !is_of_process;
  if (const auto sentence = misplaced(given, is_of_process, is_of_recording)) return fail(exit_usage, *sentence);
  if (is_of_process) {
    const auto pid = process_named(given.words.front());
    if (!pid) return fail(exit_usage, "there can be no process " + given.words.front() + ".");
    options.request.pid = *pid;
  }
  options.request.command = given.program;
  options.request.recording = given.value("recording");
  options.request.preload = given.value("preload");
  options.request.patience_ns = parse_time(given.value("wait").value_or("")).value_or(options.request.patience_ns);
  options.query = query_of(given, is_of_recording ? given.words.front() : "");
  options.at_peak = given.has("peak");
  options.output = given.value("output");
  options.is_json = given.has("json");
  options.view.subject = given.program.empty() ? given.words.front() : joined(given.program);
  options.view.shows_all = given.has("all");
  options.view.top = top_of(given, options.view.top);
  options.color = color_choice_named(given.value("color").value_or("auto"));
  return fragmentation_command(options);
}

int export_recording(const arguments& given) {
  const auto format = given.value("format");
  if (!format) return fail(exit_usage, "export needs a format: --format folded, speedscope, dhat, csv or pprof.");
  export_options options;
  options.query = query_of(given, given.words.front());
  options.query.resolves_all_frames = true;
  options.format = *format;
  options.value = given.value("value").value_or("peak");
  options.in_blocks = given.value("unit") == "blocks";
  options.output = given.value("output");
  return export_command(options);
}

int bundle(const arguments& given) {
  const auto output = given.value("output");
  if (!output) return fail(exit_usage, "bundle needs a file to write to: tenure bundle -o OUT FILE.");
  bundle_options options;
  options.recording = given.words.front();
  options.output = *output;
  options.uses_debuginfod = given.has("debuginfod");
  options.is_quiet = given.has("quiet");
  return bundle_command(options);
}

int import_data(const arguments& given) {
  if (given.words.size() != 1)
    return fail(exit_usage, "import needs one file of another tool: " + command_usage(*given.command) + ".");
  const auto output = given.value("output");
  if (!output) return fail(exit_usage, "import needs a file to write to: tenure import -o OUT FILE.");
  return import_command({.file = given.words.front(),
                         .output = *output,
                         .is_quiet = given.has("quiet"),
                         .uses_debuginfod = given.has("debuginfod")});
}

}  // namespace

std::optional<int> analysis_command(const arguments& given) {
  using command = int (*)(const arguments&);
  // An output that grows beyond `ulimit -f` is said as a full disk is. (Who starts a program sees to that itself.)
  if (given.program.empty()) ::signal(SIGXFSZ, SIG_IGN);
  const std::string_view name = given.command != nullptr ? given.command->name : "";
  if (name == "diff") return diff(given);
  if (name == "check") return check(given);
  if (name == "leaks") return leaks(given);
  if (name == "import") return import_data(given);
  if (name == "fragmentation") return fragmentation(given);
  if (name == "lifetimes") return lifetimes(given);
  const command run = name == "report"   ? report
                      : name == "export" ? export_recording
                      : name == "bundle" ? bundle
                                         : nullptr;
  if (run == nullptr) return std::nullopt;
  if (const std::string wrong = objection(given); !wrong.empty()) return fail(exit_usage, wrong);
  return run(given);
}

}  // namespace tenure::cli
