#include "instruments/cli/completion.h"

#include "instruments/cli/command_table.h"

namespace tenure::cli {
namespace {

constexpr const char* origin = "Written by `tenure generate completion` from the command table.";

std::string spaced(std::string_view choices) {
  std::string result(choices);
  for (char& c : result) c = c == '|' ? ' ' : c;
  return result;
}

// Within single quotes, for each of the shells.
std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

// A summary inside a specification of _arguments, where brackets and colons have a meaning.
std::string zsh_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

// A value that nobody but the user knows.
bool takes_free_text(value_kind kind) {
  return kind != value_kind::none && kind != value_kind::file && kind != value_kind::choice;
}

// Positional words: those of `help` are commands, those of all others are recordings.
bool takes_commands(const command_entry& command) { return command.takes_words && command.name == "help"; }

template <typename Visit>
void for_each_option(const command_entry& command, Visit visit) {
  for (const option_entry& option : command.options) visit(option);
  for (const option_entry& option : common_options()) visit(option);
}

template <typename Visit>
void for_each_command(Visit visit) {
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden) visit(command);
  }
}

std::string bash_case(const command_entry& command) {
  std::string words, values, valued;
  for_each_option(command, [&](const option_entry& option) {
    const std::string name = "--" + std::string(option.name);
    words += (words.empty() ? "" : " ") + name;
    if (option.kind == value_kind::none) return;
    const std::string pattern = (option.letter != '\0' ? std::string{'-', option.letter} + "|" : "") + name;
    valued += (valued.empty() ? "" : "|") + pattern;
    if (option.kind == value_kind::choice) {
      values += "        " + pattern + ") COMPREPLY=($(compgen -W '" + spaced(option.choices) +
                "' -- \"$current\")); return ;;\n";
    } else if (option.kind == value_kind::file) {
      values += "        " + pattern + ") compopt -o default; return ;;\n";
    } else {
      values += "        " + pattern + ") return ;;\n";
    }
  });
  std::string text = "    " + std::string(command.name) + ")\n";
  if (command.takes_program) {
    const char* const only_behind =
        command.takes_words ? "[[ \" ${COMP_WORDS[*]:0:COMP_CWORD} \" == *' -- '* ]] && " : "";
    text += std::string("      ") + only_behind + "_tenure_program '" + valued + "' && return\n";
  }
  text += "      case $previous in\n" + values + "      esac\n";
  text += "      COMPREPLY=($(compgen -W '" + words + "' -- \"$current\"))\n";
  if (takes_commands(command))
    text += "      [[ $current == -* ]] || COMPREPLY=($(compgen -W \"$commands\" -- \"$current\"))\n";
  else if (command.takes_words)
    text += "      [[ $current == -* ]] || compopt -o default\n";
  return text + "      ;;\n";
}

}  // namespace

std::string completion_for_bash() {
  std::string names, cases;
  for_each_command([&](const command_entry& command) {
    names += (names.empty() ? "" : " ") + std::string(command.name);
    cases += bash_case(command);
  });
  std::string common;
  for (const option_entry& option : common_options()) common += " --" + std::string(option.name);
  return std::string("# bash completion for tenure. ") + origin + R"(

# Behind the options stands a command line of its own, which is completed as such. $1: options that take a value.
_tenure_program() {
  local at=$((command_at + 1))
  while ((at < COMP_CWORD)); do
    if [[ ${COMP_WORDS[at]} == -- ]]; then
      ((at++))
      break
    fi
    [[ ${COMP_WORDS[at]} == -* ]] || break
    [[ "|$1|" == *"|${COMP_WORDS[at]}|"* ]] && ((at++))
    ((at++))
  done
  ((at > COMP_CWORD)) && return 1
  ((at == COMP_CWORD)) && [[ ${COMP_WORDS[at]} == -* ]] && return 1
  if declare -F _command_offset >/dev/null; then
    _command_offset "$at"
  elif ((at == COMP_CWORD)); then
    COMPREPLY=($(compgen -c -- "${COMP_WORDS[at]}"))
  else
    compopt -o default
  fi
}

_tenure() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands=')" +
         names + R"(' command_at=1
  COMPREPLY=()
  while ((command_at < COMP_CWORD)) && [[ ${COMP_WORDS[command_at]} == -* ]]; do
    [[ ${COMP_WORDS[command_at]} == --color ]] && ((command_at++))
    ((command_at++))
  done
  if ((command_at >= COMP_CWORD)); then
    if [[ $previous == --color ]]; then
      COMPREPLY=($(compgen -W 'auto always never' -- "$current"))
    else
      COMPREPLY=($(compgen -W "$commands)" +
         common + R"(" -- "$current"))
    fi
    return
  fi
  case ${COMP_WORDS[command_at]} in
)" + cases +
         R"(  esac
}

complete -F _tenure tenure
)";
}

std::string completion_for_zsh() {
  const auto specification = [](const option_entry& option) {
    std::string action;
    if (option.kind == value_kind::file) action = ":" + std::string(option.value_name) + ":_files";
    if (option.kind == value_kind::choice) {
      action = ":" + std::string(option.value_name) + ":(" + spaced(option.choices) + ")";
    }
    if (takes_free_text(option.kind)) {
      action = ":" + std::string(option.value_name) + ":";
    }
    const std::string name = "--" + std::string(option.name);
    const std::string text = "[" + zsh_text(option.summary) + "]" + action;
    if (option.letter == '\0')
      return "      " + shell_quoted((option.is_repeatable ? "*" : "") + name + text) + " \\\n";
    const std::string letter = {'-', option.letter};
    return "      " + shell_quoted("(" + letter + " " + name + ")") + "{" + letter + "," + name + "}" +
           shell_quoted(text) + " \\\n";
  };
  std::string list, cases, common;
  for (const option_entry& option : common_options()) common += specification(option);
  for_each_command([&](const command_entry& command) {
    list += "    " + shell_quoted(std::string(command.name) + ":" + zsh_text(command.summary)) + "\n";
    cases += "    " + std::string(command.name) + ")\n      _arguments -s -A '-*' \\\n";
    for_each_option(command, [&](const option_entry& option) { cases += specification(option); });
    const char* rest = takes_commands(command) ? "'1:command:_tenure_commands'"
                       : command.takes_words   ? "'*:recording:_files'"
                       : command.takes_program ? "'*::program:_tenure_program'"
                                               : "";
    cases += *rest != '\0' ? "      " + std::string(rest) + "\n" : std::string("      && return\n");
    cases += "      ;;\n";
  });
  return std::string("#compdef tenure\n# zsh completion for tenure. ") + origin + R"(

_tenure_commands() {
  local -a commands
  commands=(
)" + list +
         R"(  )
  _describe command commands
}

_tenure_program() {
  if [[ $words[1] == -- ]]; then
    shift words
    ((CURRENT--))
  fi
  _normal -p tenure
}

_tenure() {
  local context state line
  typeset -A opt_args
  _arguments -C -A '-*' \
)" + common +
         R"(      '1:command:_tenure_commands' \
      '*::argument:->argument'
  [[ $state == argument ]] || return
  case $words[1] in
)" + cases +
         R"(  esac
}

_tenure "$@"
)";
}

std::string completion_for_fish() {
  std::string text = std::string("# fish completion for tenure. ") + origin + R"(

# The words of the watched program: those behind "--", or behind the command's own options.
function __tenure_program
    set -l words (commandline -opc) (commandline -ct)
    set -l valued $argv
    set -l at 3
    while test $at -lt (count $words)
        switch $words[$at]
            case --
                set at (math $at + 1)
                break
            case '-*'
                contains -- $words[$at] $valued; and set at (math $at + 1)
                set at (math $at + 1)
            case '*'
                break
        end
    end
    test $at -le (count $words); and string join \n -- $words[$at..-1]
end

function __tenure_in_program
    set -l words (__tenure_program $argv)
    test (count $words) -gt 0; and not string match -q -- '-*' $words[1]
end

complete -c tenure -f
)";
  const auto option_line = [](const std::string& condition, const option_entry& option) {
    std::string line = "complete -c tenure -n " + shell_quoted(condition) + " -l " + std::string(option.name);
    if (option.letter != '\0') line += std::string(" -s ") + option.letter;
    if (option.kind == value_kind::file) line += " -r -F";
    if (option.kind == value_kind::choice) line += " -x -a " + shell_quoted(spaced(option.choices));
    if (takes_free_text(option.kind)) line += " -x";
    return line + " -d " + shell_quoted(option.summary) + "\n";
  };
  std::string names;
  for_each_command([&](const command_entry& command) { names += " " + std::string(command.name); });
  for_each_command([&](const command_entry& command) {
    text += "complete -c tenure -n 'not __fish_seen_subcommand_from" + names + "' -a " + std::string(command.name) +
            " -d " + shell_quoted(command.summary) + "\n";
  });
  for (const option_entry& option : common_options()) {
    text += option_line("not __fish_seen_subcommand_from" + names, option);
  }
  for_each_command([&](const command_entry& command) {
    std::string condition = "__fish_seen_subcommand_from " + std::string(command.name);
    if (command.takes_program) {
      std::string valued;
      for_each_option(command, [&](const option_entry& option) {
        if (option.kind == value_kind::none) return;
        if (option.letter != '\0') valued += std::string(" -") + option.letter;
        valued += " --" + std::string(option.name);
      });
      const std::string only_behind = command.takes_words ? "; and contains -- -- (commandline -opc)" : "";
      text += "complete -c tenure -n " + shell_quoted(condition + only_behind + "; and __tenure_in_program" + valued) +
              " -x -a '(complete -C (string join \" \" -- (__tenure_program" + valued + ")))'\n";
      condition += command.takes_words ? "; and not contains -- -- (commandline -opc)"
                                       : "; and not __tenure_in_program" + valued;
    }
    for_each_option(command, [&](const option_entry& option) { text += option_line(condition, option); });
    if (takes_commands(command))
      text += "complete -c tenure -n " + shell_quoted(condition) + " -a " + shell_quoted(names.substr(1)) + "\n";
    else if (command.takes_words)
      text += "complete -c tenure -n " + shell_quoted(condition) + " -F\n";
  });
  return text;
}

}  // namespace tenure::cli
