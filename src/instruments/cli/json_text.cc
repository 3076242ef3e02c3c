#include "instruments/cli/json_text.h"

#include <cstdio>

namespace tenure::cli {

void json_writer::begin(std::string_view name) {
  if (!is_first_) text_ += ',';
  if (depth_ > 0) text_ += "\n" + std::string(static_cast<std::size_t>(2 * depth_), ' ');
  is_first_ = false;
  if (name.empty()) return;
  quote(name);
  text_ += ": ";
}

void json_writer::open(std::string_view name, char bracket) {
  begin(name);
  text_ += bracket;
  ++depth_;
  is_first_ = true;
}

void json_writer::close(char bracket) {
  --depth_;
  if (!is_first_) text_ += "\n" + std::string(static_cast<std::size_t>(2 * depth_), ' ');
  text_ += bracket;
  is_first_ = false;
}

void json_writer::member(std::string_view name, std::string_view value) {
  begin(name);
  quote(value);
}

void json_writer::member(std::string_view name, std::int64_t value) {
  begin(name);
  text_ += std::to_string(value);
}

void json_writer::member(std::string_view name, bool value) {
  begin(name);
  text_ += value ? "true" : "false";
}

void json_writer::number(std::string_view name, double value) {
  begin(name);
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.15g", value);
  text_ += digits;
}

void json_writer::null(std::string_view name) {
  begin(name);
  text_ += "null";
}

void json_writer::quote(std::string_view value) {
  text_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      (text_ += '\\') += c;
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      text_ += escaped;
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace tenure::cli
