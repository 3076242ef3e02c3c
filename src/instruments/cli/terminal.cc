#include "instruments/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "instruments/cli/output_file.h"

namespace tenure::cli {
namespace {

// Empty when it is not set: for these variables the two mean the same.
std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

color_choice color_choice_named(std::string_view name) {
  if (name == "always") return color_choice::always;
  if (name == "never") return color_choice::never;
  return color_choice::automatic;
}

bool use_color(color_choice choice, int descriptor) {
  if (choice != color_choice::automatic) return choice == color_choice::always;
  if (!variable("NO_COLOR").empty()) return false;
  if (const auto force = variable("CLICOLOR_FORCE"); !force.empty() && force != "0") return true;
  const std::string_view terminal = variable("TERM");
  return isatty(descriptor) == 1 && !terminal.empty() && terminal != "dumb";
}

int text_columns(int descriptor, int usual) {
  constexpr int narrowest = 40, widest = 120;
  int columns = 0;
  struct winsize size {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) columns = std::atoi(std::string(variable("COLUMNS")).c_str());
  return columns == 0 ? usual : std::clamp(columns, narrowest, widest);
}

std::string sentence_for(int descriptor, std::string_view sentence) {
  if (isatty(descriptor) != 1) return std::string(sentence) + "\n";
  return wrapped(sentence, text_columns(descriptor), 0);
}

void say(std::string_view sentence) {
  write_all(STDERR_FILENO, sentence_for(STDERR_FILENO, "tenure: " + std::string(sentence)));
}

int fail(int exit_code, std::string_view sentence) {
  say(sentence);
  return exit_code;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char one) { return one < ' ' || one == 0x7f; }, ' ');
  return text;
}

int display_columns(std::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string wrapped(std::string_view text, int columns, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string result, line;
  const auto finish = [&] {
    if (!line.empty()) result += margin + line;
    result += '\n';
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    if (!line.empty() && indent + display_columns(line) + 1 + display_columns(word) > columns) finish();
    if (!word.empty()) line += (line.empty() ? "" : " ") + std::string(word);
    if (end == std::string_view::npos) break;
    if (text[end] == '\n') finish();
    text.remove_prefix(end + 1);
  }
  if (!line.empty()) finish();
  return result;
}

const palette& colors(bool use) {
  static constexpr palette plain = {};
  static constexpr palette bright = {"\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[33m", "\033[0m"};
  return use ? bright : plain;
}

}  // namespace tenure::cli
