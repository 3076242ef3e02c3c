#include "instruments/cli/help_text.h"

#include <algorithm>

namespace tenure::cli {
namespace {

std::string heading(std::string_view text, const palette& paint) {
  return std::string(paint.bold) + std::string(text) + std::string(paint.reset) + "\n";
}

template <typename Entries, typename Name>
int widest(const Entries& entries, Name name) {
  int columns = 0;
  for (const auto& entry : entries) columns = std::max(columns, display_columns(name(entry)));
  return columns;
}

// Options without a letter are set under the names of those that have one.
std::string aligned_usage(const option_entry& option) {
  return (option.letter == '\0' ? "    " : "") + option_usage(option);
}

std::string option_lines(std::span<const option_entry> options, int name_columns, int columns, const palette& paint) {
  std::string text;
  for (const option_entry& option : options) {
    text += two_columns(aligned_usage(option), option.summary, name_columns, columns, paint);
  }
  return text;
}

}  // namespace

std::string two_columns(std::string_view name, std::string_view text, int name_columns, int columns,
                        const palette& paint) {
  const int indent = 2 + name_columns + 2;
  std::string body = wrapped(text, columns, indent);
  const int blanks = name_columns - display_columns(name) + 2;
  body.erase(0, static_cast<std::size_t>(indent));
  return "  " + std::string(paint.bold) + std::string(name) + std::string(paint.reset) +
         std::string(static_cast<std::size_t>(std::max(blanks, 1)), ' ') + body;
}

std::string overview(int columns, const palette& paint) {
  std::string text = wrapped("Tenure. " + std::string(project_question), columns, 0) + "\n";
  text += heading("usage: tenure COMMAND [OPTIONS]", paint) + "\n";
  const auto shown_name = [](const command_entry& of) { return of.is_hidden ? std::string_view() : of.name; };
  const int name_columns = widest(all_commands(), shown_name);
  for (const command_entry& command : all_commands())
    if (!command.is_hidden) text += two_columns(command.name, command.summary, name_columns, columns, paint);
  text += "\n" + heading("options of every command", paint);
  text += option_lines(common_options(), widest(common_options(), aligned_usage), columns, paint);
  text += "\nTry:   " + std::string(find_command("run")->examples.front().command) + "\n";
  text += wrapped("`tenure help COMMAND` says more, `man tenure` the rest.", columns, 0);
  return text;
}

std::string help_of(const command_entry& command, int columns, const palette& paint) {
  std::string text = heading("usage: " + command_usage(command), paint) + "\n";
  text += wrapped(command.description, columns, 0);
  const int name_columns = std::max(widest(command.options, aligned_usage), widest(common_options(), aligned_usage));
  text += "\n" + heading("options", paint) + option_lines(command.options, name_columns, columns, paint);
  text += option_lines(common_options(), name_columns, columns, paint);
  if (!command.examples.empty()) text += "\n" + heading("examples", paint);
  for (const example_entry& example : command.examples) {
    text += "  " + std::string(paint.bold) + std::string(example.command) + std::string(paint.reset) + "\n";
    text += wrapped(example.meaning, columns, 6);
  }
  text += "\n" + heading("exit codes", paint);
  const int code_columns = widest(command.exit_codes, [](const auto& code) { return code.code; });
  for (const exit_code_entry& code : command.exit_codes) {
    text += two_columns(code.code, code.meaning, code_columns, columns, paint);
  }
  return text;
}

}  // namespace tenure::cli
