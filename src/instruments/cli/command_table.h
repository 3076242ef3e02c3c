// The command table: the one source of what `tenure` takes. From it are made
//
//   parser.cc           what is accepted
//   help_text.cc        `tenure --help`, `tenure help COMMAND`
//   manual_page.cc      tenure(1), tenure-COMMAND(1), tenure-options(7)
//   completion.cc       bash, zsh and fish
//   reference_page.cc   docs/reference/commands.md and options.md
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tenure::cli {

enum class value_kind {
  none,        // a switch
  file,        // completed as a file name
  bytes,       // a number, with K, M or G
  count,       // a number
  choice,      // one of `choices`
  time,        // a number with its unit (value_text.h)
  time_range,  // two of them
  byte_range,  // two sizes, or one
  pattern,     // a name or a part of it
  byte_limit,  // what is at most allowed, of all or of named functions
  block_limit,
};

struct option_entry {
  std::string_view name;  // "json", given as --json
  char letter = '\0';     // 'j', given as -j; 0: none
  value_kind kind = value_kind::none;
  std::string_view value_name = {};  // "FILE"
  std::string_view choices = {};     // "auto|always|never"
  std::string_view summary = {};     // one sentence
  bool is_repeatable = false;        // every value counts; else the last one
};

struct example_entry {
  std::string_view command;
  std::string_view meaning;
};

struct exit_code_entry {
  std::string_view code;  // a number, or in words: "of CMD"
  std::string_view meaning;
};

struct command_entry {
  std::string_view name;
  std::string_view arguments;    // as in the usage line, behind the options
  std::string_view summary;      // one sentence, in lists
  std::string_view description;  // paragraphs, with an empty line between them
  std::span<const option_entry> options;
  std::span<const example_entry> examples;
  std::span<const exit_code_entry> exit_codes;
  bool takes_program = false;  // what follows the options is a command line of its own
  bool takes_words = false;    // it takes positional words; of both: a program stands behind "--"
  bool is_hidden = false;      // of use to the build only
};

struct environment_entry {
  std::string_view name;
  std::string_view meaning;

  bool is_of_heap() const { return name == "TENURE_*"; }  // stands for the heap's options
};

std::span<const environment_entry> environment_variables();  // what the command itself reads
std::span<const command_entry> all_commands();
std::span<const option_entry> common_options();  // of `tenure` itself, accepted by each command
std::span<const exit_code_entry> common_exit_codes();
const command_entry* find_command(std::string_view name);

inline constexpr std::string_view project_question =
    "Where does this byte live, who owns it, and when does it go away?";

// "-o, --output FILE"
std::string option_usage(const option_entry& option);
// "tenure run [OPTIONS] [--] CMD ARGS..."
std::string command_usage(const command_entry& command);

}  // namespace tenure::cli
