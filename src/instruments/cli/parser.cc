// CLI11 is known to this file alone.
#include "instruments/cli/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>

#include "instruments/cli/value_text.h"

namespace tenure::cli {
namespace {

// Where the watched program's own words begin: at "--", or at the first word that is neither an option nor its value,
// unless the command takes such words itself.
std::size_t begin_of_program(const command_entry& command, const std::vector<std::string>& words, std::size_t from) {
  const auto takes_next = [](const option_entry& option, const std::string& word) {
    if (option.kind == value_kind::none) return false;
    return word == "--" + std::string(option.name) ||
           (option.letter != '\0' && word == std::string{'-', option.letter});
  };
  for (std::size_t i = from; i < words.size(); ++i) {
    if (words[i] == "--") return i;
    if (!words[i].starts_with('-') || words[i] == "-") {
      if (command.takes_words) continue;
      return i;
    }
    for (const std::span<const option_entry> options : {command.options, common_options()}) {
      if (std::any_of(options.begin(), options.end(), [&](const auto& o) { return takes_next(o, words[i]); })) {
        ++i;
        break;
      }
    }
  }
  return words.size();
}

std::string flags_of(const option_entry& option) {
  std::string flags;
  if (option.letter != '\0') flags += std::string{'-', option.letter} + ",";
  return flags + "--" + std::string(option.name);
}

std::vector<std::string> split_choices(std::string_view choices) {
  std::vector<std::string> result;
  while (!choices.empty()) {
    const std::size_t bar = choices.find('|');
    result.emplace_back(choices.substr(0, bar));
    choices = bar == std::string_view::npos ? std::string_view() : choices.substr(bar + 1);
  }
  return result;
}

bool is_number(const std::string& text) {
  std::uint32_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && stop == text.data() + text.size() && !text.empty();
}

// What is wrong with a value, or nothing.
std::string objection(const option_entry& option, const std::string& value) {
  const std::string name = "--" + std::string(option.name);
  if (option.kind == value_kind::bytes && !parse_bytes(value)) {
    return name + " takes a number of bytes such as 65536, 64K or 1M, not '" + value + "'.";
  }
  if (option.kind == value_kind::count && !is_number(value)) return name + " takes a number, not '" + value + "'.";
  if (option.kind == value_kind::time && !parse_time(value))
    return name + " takes a time such as 1500ms, 2.5s or 3m, not '" + value + "'.";
  if (option.kind == value_kind::time_range && !parse_time_range(value))
    return name + " takes two times such as 1500ms..2.5s, the later one last, not '" + value + "'.";
  if (option.kind == value_kind::byte_range && !parse_byte_range(value))
    return name + " takes two sizes such as 1K..64K, the greater one last, not '" + value + "'.";
  if (option.kind == value_kind::pattern && value.empty()) return name + " takes a name or a part of it.";
  if (option.kind == value_kind::byte_limit && !parse_limit(value, limit_unit::bytes))
    return name + " takes a limit such as 64M, +5% or +5%+64K over the baseline, or NAME=64K, not '" + value + "'.";
  if (option.kind == value_kind::block_limit && !parse_limit(value, limit_unit::blocks))
    return name + " takes a limit such as 1000, +5% or +10 over the baseline, or NAME=100, not '" + value + "'.";
  if (option.kind == value_kind::choice) {
    const std::vector<std::string> choices = split_choices(option.choices);
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      std::string list;
      for (const std::string& choice : choices) {
        list += (list.empty() ? "" : choice == choices.back() ? " or " : ", ") + choice;
      }
      const auto meant = nearest(value, choices);
      return name + " takes " + list + ", not '" + value + "'" + (meant ? "; did you mean " + *meant + "?" : ".");
    }
  }
  return {};
}

class reader {
 public:
  explicit reader(const command_entry* command) : command_(command) {
    app_.set_help_flag();
    app_.allow_extras();
    if (command != nullptr) declare(command->options);
    declare(common_options());
  }

  std::expected<arguments, std::string> read(std::vector<std::string> words) {
    for (const std::string& word : words) {
      if (const std::string wrong = needs_value(word, &word == &words.back()); !wrong.empty()) {
        return std::unexpected(wrong);
      }
    }
    std::reverse(words.begin(), words.end());  // CLI11 takes them from the end
    try {
      app_.parse(std::move(words));
    } catch (const CLI::ParseError& error) {
      return std::unexpected(std::string(error.what()) + ". " + where_to_look());
    }
    return collect();
  }

 private:
  struct declared {
    const option_entry* entry;
    CLI::Option* option;
  };

  void declare(std::span<const option_entry> options) {
    for (const option_entry& entry : options) {
      CLI::Option* option =
          entry.kind == value_kind::none ? app_.add_flag(flags_of(entry)) : app_.add_option(flags_of(entry));
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      declared_.push_back({&entry, option});
    }
  }

  std::string needs_value(const std::string& word, bool is_last) const {
    for (const declared& d : declared_) {
      if (d.entry->kind == value_kind::none && word.starts_with("--" + std::string(d.entry->name) + "=")) {
        return "--" + std::string(d.entry->name) + " takes no value.";
      }
      if (word == "--" + std::string(d.entry->name) + "=") {
        return "--" + std::string(d.entry->name) + " needs a value: " + option_usage(*d.entry) + ".";
      }
      const bool is_it = word == "--" + std::string(d.entry->name) || word == std::string{'-', d.entry->letter};
      if (is_it && is_last && d.entry->kind != value_kind::none) {
        return "--" + std::string(d.entry->name) + " needs a value: " + option_usage(*d.entry) + ".";
      }
    }
    return {};
  }

  std::expected<arguments, std::string> collect() {
    arguments result;
    result.command = command_;
    for (const declared& d : declared_) {
      if (d.option->count() == 0) continue;
      const std::string name(d.entry->name);
      std::string value;
      if (d.entry->kind != value_kind::none && !d.option->results().empty()) value = d.option->results().back();
      if (d.entry->is_repeatable) result.repeated[name] = d.option->results();
      for (const std::string& one : d.entry->is_repeatable ? result.repeated[name] : std::vector{value})
        if (const std::string wrong = objection(*d.entry, one); !wrong.empty()) return std::unexpected(wrong);
      result.values[name] = value;
    }
    result.wants_help = result.values.erase("help") > 0;
    result.wants_version = result.values.erase("version") > 0;
    for (const std::string& word : app_.remaining()) {
      if (word.starts_with('-') && word.size() > 1) return std::unexpected(unknown_option(word));
      const bool takes_words = command_ != nullptr && command_->takes_words;
      if (!takes_words) return std::unexpected("'" + word + "' is one word too many. " + where_to_look());
      result.words.push_back(word);
    }
    return result;
  }

  std::string unknown_option(const std::string& word) const {
    const std::string name = word.substr(0, word.find('='));
    std::vector<std::string> known;
    for (const declared& d : declared_) known.push_back("--" + std::string(d.entry->name));
    const auto meant = nearest(name, known);
    return "there is no option " + name + (meant ? "; did you mean " + *meant + "?" : ". " + where_to_look());
  }

  std::string where_to_look() const {
    return command_ != nullptr ? "See `tenure help " + std::string(command_->name) + "`." : "See `tenure --help`.";
  }

  const command_entry* command_;
  CLI::App app_;
  std::vector<declared> declared_;
};

std::string unknown_command(const std::string& word) {
  std::vector<std::string> known;
  for (const command_entry& command : all_commands()) {
    if (!command.is_hidden) known.emplace_back(command.name);
  }
  const auto meant = nearest(word, known);
  return "there is no command '" + word + "'" +
         (meant ? "; did you mean `tenure " + *meant + "`?" : ". See `tenure --help`.");
}

}  // namespace

std::optional<std::string> arguments::value(const std::string& option) const {
  const auto found = values.find(option);
  return found != values.end() ? std::optional(found->second) : std::nullopt;
}

std::optional<std::uint64_t> arguments::bytes(const std::string& option) const {
  const auto text = value(option);
  return text ? parse_bytes(*text) : std::nullopt;
}

std::vector<std::string> arguments::all(const std::string& option) const {
  const auto found = repeated.find(option);
  return found != repeated.end() ? found->second : std::vector<std::string>();
}

std::optional<std::uint64_t> parse_bytes(const std::string& text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop == text.data()) return std::nullopt;
  std::string unit(stop, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::size_t power = std::string_view("KMGT").find(unit.empty() ? 'B' : unit[0]);
  const int shift = power == std::string_view::npos ? 0 : 10 * (static_cast<int>(power) + 1);
  const std::string rest = shift == 0 ? unit : unit.substr(1);
  if (!rest.empty() && rest != "B" && !(shift != 0 && rest == "IB")) return std::nullopt;
  if (shift != 0 && (number >> (64 - shift)) != 0) return std::nullopt;
  return number << shift;
}

// Distance of Damerau and Levenshtein: letters added, left out, changed, or swapped with their neighbour.
std::optional<std::string> nearest(const std::string& word, const std::vector<std::string>& known) {
  const auto distance = [&](const std::string& other) {
    std::vector<std::vector<std::size_t>> table(word.size() + 1, std::vector<std::size_t>(other.size() + 1));
    for (std::size_t i = 0; i <= word.size(); ++i) {
      for (std::size_t k = 0; k <= other.size(); ++k) {
        if (i == 0 || k == 0) {
          table[i][k] = i + k;
          continue;
        }
        const std::size_t change = word[i - 1] == other[k - 1] ? 0 : 1;
        table[i][k] = std::min({table[i - 1][k] + 1, table[i][k - 1] + 1, table[i - 1][k - 1] + change});
        const bool is_swapped = i > 1 && k > 1 && word[i - 1] == other[k - 2] && word[i - 2] == other[k - 1];
        if (is_swapped) table[i][k] = std::min(table[i][k], table[i - 2][k - 2] + 1);
      }
    }
    return table[word.size()][other.size()];
  };
  std::optional<std::string> best;
  std::size_t best_distance = 1 + std::max<std::size_t>(1, word.size() / 3);
  for (const std::string& candidate : known) {
    // Half a word typed well is a better hint than a short distance.
    const bool is_beginning = word.size() >= 3 && candidate.starts_with(word);
    const std::size_t d = is_beginning ? 1 : distance(candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::expected<arguments, std::string> parse(const std::vector<std::string>& words) {
  // Options of `tenure` itself may stand before the command.
  std::size_t at = 0;
  while (at < words.size() && words[at].starts_with('-') && words[at] != "--") {
    at += words[at] == "--color" ? 2 : 1;
  }
  if (at >= words.size()) return reader(nullptr).read(words);
  const command_entry* command = find_command(words[at]);
  if (command == nullptr) {
    // `tenure -o x`: what is wrong is the option, since x may have been meant as its value.
    const std::vector<std::string> before(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(at));
    const auto own = reader(nullptr).read(before);
    return std::unexpected(own ? unknown_command(words[at]) : own.error());
  }

  std::vector<std::string> own(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(at));
  const std::size_t program = command->takes_program ? begin_of_program(*command, words, at + 1) : words.size();
  own.insert(own.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1,
             words.begin() + static_cast<std::ptrdiff_t>(program));
  auto result = reader(command).read(std::move(own));
  if (result && program < words.size()) {
    const std::size_t first = words[program] == "--" ? program + 1 : program;
    result->program.assign(words.begin() + static_cast<std::ptrdiff_t>(first), words.end());
  }
  return result;
}

}  // namespace tenure::cli
