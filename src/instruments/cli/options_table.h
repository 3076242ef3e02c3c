// The heap's options (TENURE_*), read as data from the table that the heap itself is compiled from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tenure::cli {

struct heap_option {
  std::string_view name;  // lower case, as in the table
  std::string_view kind;  // boolean, bytes, milliseconds, integer
  std::int64_t default_value, minimum, maximum;
  std::string_view unit;
  std::string_view summary;
  std::string_view when;

  std::string environment() const;  // TENURE_NAME
  std::string default_text() const { return value_text(default_value); }
  std::string range_text() const;  // "4 KiB to 1 GiB", "on or off"
  std::string value_text(std::int64_t value) const;
};

std::span<const heap_option> heap_options();
// One that is in the table.
const heap_option& heap_option_named(std::string_view name);

// `tenure options`
std::string options_as_text(int columns, bool color);
std::string options_as_json();

}  // namespace tenure::cli
