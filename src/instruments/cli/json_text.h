// JSON for the small answers of commands, written as it comes, indented by two blanks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenure::cli {

class json_writer {
 public:
  void begin_object(std::string_view name = {}) { open(name, '{'); }
  void end_object() { close('}'); }
  void begin_array(std::string_view name = {}) { open(name, '['); }
  void end_array() { close(']'); }

  void member(std::string_view name, std::string_view value);
  void member(std::string_view name, const char* value) { member(name, std::string_view(value)); }
  void member(std::string_view name, std::int64_t value);
  void member(std::string_view name, bool value);
  void number(std::string_view name, double value);  // fifteen digits
  void null(std::string_view name);

  // The whole document, ended by a line feed.
  std::string text() const { return text_ + "\n"; }

 private:
  void open(std::string_view name, char bracket);
  void close(char bracket);
  void begin(std::string_view name);
  void quote(std::string_view value);

  std::string text_;
  int depth_ = 0;
  bool is_first_ = true;
};

}  // namespace tenure::cli
