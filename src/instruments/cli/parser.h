// What the user typed, held against the command table.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "instruments/cli/command_table.h"

namespace tenure::cli {

inline constexpr int exit_usage = 2;

struct arguments {
  const command_entry* command = nullptr;                    // null: no command was given
  std::map<std::string, std::string> values;                 // of options by name; a switch has the value ""
  std::map<std::string, std::vector<std::string>> repeated;  // all values of those that are repeatable
  std::vector<std::string> words;                            // positional words
  std::vector<std::string> program;                          // of a command that takes a program
  bool wants_help = false;
  bool wants_version = false;

  bool has(const std::string& option) const { return values.contains(option); }
  std::optional<std::string> value(const std::string& option) const;
  std::optional<std::uint64_t> bytes(const std::string& option) const;
  std::vector<std::string> all(const std::string& option) const;  // of one that is repeatable, as they were given
};

// The error is one sentence that says what was wrong and what may have been meant.
std::expected<arguments, std::string> parse(const std::vector<std::string>& words);

// "64K" and the like; absent when it is not a number of bytes.
std::optional<std::uint64_t> parse_bytes(const std::string& text);

// The nearest of `known`, when it is near enough to have been meant.
std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace tenure::cli
