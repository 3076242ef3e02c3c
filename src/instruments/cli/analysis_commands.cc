#include "instruments/cli/analysis_commands.h"

#include <cstdlib>

#include "instruments/cli/export_command.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/recording_report.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {
namespace {

std::size_t top_of(const arguments& given, std::size_t usual) {
  const auto top = given.value("top");
  return top ? std::strtoull(top->c_str(), nullptr, 10) : usual;
}

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
  options.output = given.value("output");
  options.is_json = given.has("json");
  options.shows_all = given.has("all");
  options.top = top_of(given, options.top);
  options.color = color_choice_named(given.value("color").value_or("auto"));
  return report_command(options);
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

}  // namespace

std::optional<int> analysis_command(const arguments& given) {
  using command = int (*)(const arguments&);
  const std::string_view name = given.command != nullptr ? given.command->name : "";
  const command run = name == "report" ? report : name == "export" ? export_recording : nullptr;
  if (run == nullptr) return std::nullopt;
  if (const std::string wrong = objection(given); !wrong.empty()) return fail(exit_usage, wrong);
  return run(given);
}

}  // namespace tenure::cli
