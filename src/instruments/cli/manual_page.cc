#include "instruments/cli/manual_page.h"

#include <cctype>

#include "instruments/cli/options_table.h"
#include "instruments/cli/version.h"

namespace tenure::cli {
namespace {

// Text as roff takes it: "-" is a minus sign that can be copied, and no line begins with a control character.
std::string roff_text(std::string_view text) {
  std::string result;
  bool at_begin = true;
  for (const char c : text) {
    if (at_begin && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if (c == '\'') {
      result += "\\(aq";
    } else {
      result += c;
    }
    at_begin = c == '\n';
  }
  return result;
}

// `words` between back quotes stand in bold.
std::string marked(std::string_view text) {
  std::string result;
  bool is_bold = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t quote = text.find('`', at);
    result += roff_text(text.substr(at, quote == std::string_view::npos ? quote : quote - at));
    if (quote == std::string_view::npos) break;
    is_bold = !is_bold;
    result += is_bold ? "\\fB" : "\\fR";
    at = quote + 1;
  }
  return result;
}

std::string section(std::string_view name) { return ".SH " + std::string(name) + "\n"; }

// The first paragraph of a section needs no mark.
std::string paragraphs(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    result += (result.empty() ? "" : ".PP\n") + marked(text.substr(0, end)) + "\n";
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
  }
  return result;
}

std::string item(const std::string& term, std::string_view text) { return ".TP\n" + term + "\n" + marked(text) + "\n"; }

std::string bold(std::string_view text) { return "\\fB" + roff_text(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff_text(text) + "\\fR"; }

std::string page_head(const std::string& name, const std::string& part, std::string_view summary) {
  std::string page = ".\\\" Written by `tenure generate man` from the command table.\n";
  std::string title = name;
  for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  page += ".TH " + title + " " + part + " \"\" \"Tenure " + version_number() + "\" \"Tenure\"\n";
  std::string clause(summary);
  if (clause.ends_with('.') || clause.ends_with('?')) clause.pop_back();
  return page + section("NAME") + roff_text(name) + " \\- " + roff_text(clause) + "\n";
}

std::string options_section(std::span<const option_entry> own) {
  std::string page;
  for (const std::span<const option_entry> options : {own, common_options()}) {
    for (const option_entry& option : options) {
      std::string term;
      if (option.letter != '\0') term = bold(std::string{'-', option.letter}) + ", ";
      term += bold("--" + std::string(option.name));
      if (option.kind != value_kind::none) term += " " + italic(option.value_name);
      page += item(term, option.summary);
    }
  }
  return page;
}

std::string exit_section(std::span<const exit_code_entry> codes) {
  std::string page = section("EXIT STATUS");
  for (const exit_code_entry& code : codes) page += item(bold(code.code), code.meaning);
  return page;
}

std::string see_also(std::string_view except) {
  std::string list;
  const auto add = [&](const std::string& name, const char* part) {
    if (name != except) list += (list.empty() ? "" : ",\n") + bold(name) + "(" + part + ")";
  };
  add("tenure", "1");
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden) add("tenure-" + std::string(command.name), "1");
  }
  add("tenure-options", "7");
  return section("SEE ALSO") + list + "\n";
}

}  // namespace

std::string manual_of_tenure() {
  std::string page = page_head("tenure", "1", "where does this byte live, who owns it, and when does it go away?");
  page += section("SYNOPSIS") + bold("tenure") + " " + italic("COMMAND") + " [" + italic("OPTIONS") + "]\n";
  page += section("DESCRIPTION");
  page += paragraphs(
      "Every memory problem ends in one question: where does this byte live, who owns it, and when does it go away? "
      "`tenure` answers it for programs as they are: it runs them on a heap of its own, watches them from outside, and "
      "reports.");
  page += section("COMMANDS");
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden) page += item(bold(command.name), command.summary);
  }
  page += section("OPTIONS") + options_section({});
  page += section("ENVIRONMENT");
  for (const environment_entry& variable : environment_variables()) page += item(bold(variable.name), variable.meaning);
  page += exit_section(common_exit_codes());
  page +=
      ".PP\n" + paragraphs("`tenure run` ends with the exit code of the program that it watched; see its own page.");
  return page + see_also("tenure");
}

std::string manual_of_command(const command_entry& command) {
  const std::string name = "tenure-" + std::string(command.name);
  std::string page = page_head(name, "1", command.summary);
  page += section("SYNOPSIS") + bold("tenure " + std::string(command.name)) + " [" + italic("OPTIONS") + "] " +
          roff_text(command.arguments) + "\n";
  page += section("DESCRIPTION") + paragraphs(command.description);
  page += section("OPTIONS") + options_section(command.options);
  if (!command.examples.empty()) page += section("EXAMPLES");
  for (const example_entry& example : command.examples) page += item(bold(example.command), example.meaning);
  return page + exit_section(command.exit_codes) + see_also(name);
}

std::string manual_of_options() {
  std::string page = page_head("tenure-options", "7", "environment variables that Tenure's heap reads");
  page += section("DESCRIPTION");
  page += paragraphs(
      "The heap reads these variables once, when a program starts. A value that cannot be read is reported in one "
      "sentence on standard error, and the default stays. Bytes take K, M and G; switches take on and off.");
  page += section("OPTIONS");
  for (const heap_option& option : heap_options()) {
    page += ".TP\n" + bold(option.environment()) + "\n" + marked(option.summary) + "\n" + marked(option.when) + "\n";
    page += ".br\nDefault " + roff_text(option.default_text()) + "; " + roff_text(option.range_text()) + ".\n";
  }
  page += section("ENVIRONMENT") + "The command itself reads:\n";
  for (const environment_entry& variable : environment_variables()) {
    if (!variable.is_of_heap()) page += item(bold(variable.name), variable.meaning);
  }
  return page + see_also("tenure-options");
}

}  // namespace tenure::cli
