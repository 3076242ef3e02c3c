#include "instruments/cli/reference_page.h"

#include "instruments/cli/command_table.h"
#include "instruments/cli/options_table.h"

namespace tenure::cli {
namespace {

// A cell of a table: a bar would end it.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

std::string code(std::string_view text) { return "`" + cell(text) + "`"; }

std::string option_rows(std::span<const option_entry> options) {
  std::string text;
  for (const option_entry& option : options)
    text += "| " + code(option_usage(option)) + " | " + cell(option.summary) + " |\n";
  return text;
}

std::string exit_rows(std::span<const exit_code_entry> codes) {
  std::string text = "| exit code | when |\n|---|---|\n";
  for (const exit_code_entry& one : codes) text += "| " + cell(one.code) + " | " + cell(one.meaning) + " |\n";
  return text;
}

std::string section_of(const command_entry& command) {
  std::string text = "## tenure " + std::string(command.name) + "\n\n```\n" + command_usage(command) + "\n```\n\n";
  text += std::string(command.description) + "\n\n";
  if (!command.options.empty()) text += "| option | what it does |\n|---|---|\n" + option_rows(command.options) + "\n";
  for (const example_entry& example : command.examples) {
    text += "- " + code(example.command) + "\n  " + std::string(example.meaning) + "\n";
  }
  if (!command.examples.empty()) text += "\n";
  return text + exit_rows(command.exit_codes) + "\n";
}

}  // namespace

std::string reference_of_commands() {
  std::string text =
      "# Commands\n\n<!-- Written by `tenure generate docs` from src/instruments/cli/command_table.cc. -->\n\n"
      "| command | what it does |\n|---|---|\n";
  for (const command_entry& command : all_commands()) {
    if (command.is_hidden) continue;
    const std::string name(command.name);
    text += "| [tenure " + name + "](#tenure-" + name + ") | " + cell(command.summary) + " |\n";
  }
  text +=
      "\nSee also [the heap's options](options.md), [exit codes](exit-codes.md) and [the report as "
      "JSON](report-json.md).\n";
  text += "\nOptions of every command:\n\n| option | what it does |\n|---|---|\n" + option_rows(common_options());
  text += "\nEnvironment:\n\n| variable | what it does |\n|---|---|\n";
  for (const environment_entry& variable : environment_variables()) {
    text += "| " + code(variable.name) + " | " + cell(variable.meaning) + " |\n";
  }
  text += "\n";
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden) text += section_of(command);
  }
  text.pop_back();
  return text;
}

std::string reference_of_options() {
  std::string text =
      "# Options of the heap\n\n<!-- Written by `tenure generate docs` from src/core/base/options.def. -->\n\n"
      "The heap reads these environment variables once, when a program starts. A value that cannot be read is reported "
      "in one\nsentence on standard error, and the default stays; so is a name that is none of these. Bytes take K, M "
      "and G; switches take\non and off. `tenure options` prints this table, `tenure options --json` for programs.\n\n"
      "| variable | default | range | what it does | when to use it |\n|---|---|---|---|---|\n";
  for (const heap_option& option : heap_options()) {
    text += "| " + code(option.environment()) + " | " + option.default_text() + " | " + option.range_text() + " | " +
            cell(option.summary) + " | " + cell(option.when) + " |\n";
  }
  text += "\nThe `tenure` command itself reads:\n\n| variable | what it does |\n|---|---|\n";
  for (const environment_entry& variable : environment_variables()) {
    if (!variable.is_of_heap()) text += "| " + code(variable.name) + " | " + cell(variable.meaning) + " |\n";
  }
  return text;
}

}  // namespace tenure::cli
