#include "instruments/cli/options_table.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "instruments/cli/command_table.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/json_text.h"

namespace tenure::cli {
namespace {

constexpr heap_option table[] = {
#define TENURE_OPTION(name, kind, def, minimum, maximum, unit, summary, when) \
  {#name, #kind, def, minimum, maximum, unit, summary, when},
#include "core/base/options.def"
#undef TENURE_OPTION
};

std::string bytes_text(std::int64_t value) {
  static constexpr std::array<const char*, 5> units = {" bytes", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  while (unit + 1 < units.size() && value != 0 && value % 1024 == 0) {
    value /= 1024;
    ++unit;
  }
  return value == 0 ? "0" : std::to_string(value) + units[unit];
}

}  // namespace

std::string heap_option::environment() const {
  std::string result = "TENURE_";
  for (const char c : name) result += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

std::string heap_option::value_text(std::int64_t value) const {
  if (kind == "boolean") return value != 0 ? "on" : "off";
  if (kind == "bytes") return bytes_text(value);
  return std::to_string(value) + (unit.empty() ? "" : " " + std::string(unit));
}

std::string heap_option::range_text() const {
  if (kind == "boolean") return "on or off";
  return value_text(minimum) + " to " + value_text(maximum);
}

std::span<const heap_option> heap_options() { return table; }

const heap_option& heap_option_named(std::string_view name) {
  return *std::find_if(std::begin(table), std::end(table), [&](const heap_option& one) { return one.name == name; });
}

std::string options_as_text(int columns, bool color) {
  const palette& paint = colors(color);
  std::string text;
  for (const heap_option& option : heap_options()) {
    text += std::string(paint.bold) + option.environment() + std::string(paint.reset) + "  " + std::string(paint.dim) +
            option.default_text() + " (" + option.range_text() + ")" + std::string(paint.reset) + "\n";
    text += wrapped(option.summary, columns, 4) + wrapped(option.when, columns, 4) + "\n";
  }
  text += wrapped(
      "They are read from the environment when a program starts. Bytes take K, M and G; switches take on and off. The "
      "command itself reads:",
      columns, 0);
  text += "\n";
  for (const environment_entry& variable : environment_variables()) {
    if (variable.is_of_heap()) continue;
    text += std::string(paint.bold) + std::string(variable.name) + std::string(paint.reset) + "\n" +
            wrapped(variable.meaning, columns, 4);
  }
  return text;
}

std::string options_as_json() {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.options/1");
  json.begin_array("options");
  for (const heap_option& option : heap_options()) {
    json.begin_object();
    json.member("name", option.name);
    json.member("environment", option.environment());
    json.member("kind", option.kind);
    json.member("default", option.default_value);
    json.member("minimum", option.minimum);
    json.member("maximum", option.maximum);
    json.member("unit", option.unit);
    json.member("summary", option.summary);
    json.member("when", option.when);
    json.end_object();
  }
  json.end_array();
  json.begin_array("command");
  for (const environment_entry& variable : environment_variables()) {
    if (variable.is_of_heap()) continue;
    json.begin_object();
    json.member("environment", variable.name);
    json.member("summary", variable.meaning);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
