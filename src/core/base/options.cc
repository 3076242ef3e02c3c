#include "core/base/options.h"

#include <unistd.h>
#include <cstring>

#include "core/base/check.h"
#include "core/base/format.h"
#include "core/base/spelling.h"

extern char** environ;

namespace tenure::core {
namespace {

constexpr option_description table[] = {
#define TENURE_OPTION(name, kind, def, minimum, maximum, unit, summary, when) \
  {#name, "TENURE_" #name, option_kind::kind, def, minimum, maximum, unit, summary, when},
#include "core/base/options.def"
#undef TENURE_OPTION
};

std::int64_t values[] = {
#define TENURE_OPTION(name, kind, def, minimum, maximum, unit, summary, when) def,
#include "core/base/options.def"
#undef TENURE_OPTION
};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// Whether `entry` is "TENURE_<NAME>=..."; the table spells the name in lower case after the prefix.
const char* value_in(const char* entry, const option_description& description) noexcept {
  const char* name = description.environment;
  while (*name != '\0' && upper(*name) == *entry) {
    ++name;
    ++entry;
  }
  return *name == '\0' && *entry == '=' ? entry + 1 : nullptr;
}

bool parse_boolean(const char* text, std::int64_t* value) noexcept {
  static constexpr const char* yes[] = {"1", "on", "yes", "true"};
  static constexpr const char* no[] = {"0", "off", "no", "false"};
  for (const char* word : yes) {
    if (std::strcmp(text, word) == 0) return *value = 1, true;
  }
  for (const char* word : no) {
    if (std::strcmp(text, word) == 0) return *value = 0, true;
  }
  return false;
}

bool parse_scale(const char* text, option_kind kind, std::int64_t* scale) noexcept {
  *scale = 1;
  if (*text == '\0') return true;
  if (kind == option_kind::bytes) {
    const char letter = upper(*text);
    if (letter == 'B') return text[1] == '\0';
    *scale = letter == 'K' ? 1 << 10 : letter == 'M' ? 1 << 20 : letter == 'G' ? 1 << 30 : 0;
    if (*scale == 0) return false;
    ++text;
    return *text == '\0' || std::strcmp(text, "iB") == 0 || std::strcmp(text, "B") == 0;
  }
  return kind == option_kind::milliseconds && std::strcmp(text, "ms") == 0;
}

void read_value(option which, const char* entry, const char* text) noexcept {
  const option_description& description = describe(which);
  std::int64_t parsed = 0;
  if (parse_value(description, text, &parsed)) {
    set_value(which, parsed);
    return;
  }
  message warning;
  warning.add("tenure: ").add(entry).add(" is not a value for this option; using the default (");
  warning.add_decimal(static_cast<std::uint64_t>(description.default_value)).add("). See `tenure options`.\n");
  warning.write_to(STDERR_FILENO);
}

constexpr char prefix[] = "TENURE_";
constexpr std::size_t prefix_length = sizeof prefix - 1;

// Variables that are no options and mean something all the same. What the tests of Tenure tell each other begins with
// TEST_.
bool is_of_others(const char* name, std::size_t length) noexcept {
  static constexpr const char* others[] = {"SESSION", "LIBRARY"};
  for (const char* other : others) {
    if (std::strlen(other) == length && std::strncmp(name, other, length) == 0) return true;
  }
  return std::strncmp(name, "TEST_", 5) == 0;
}

void tell_unknown(const char* entry) noexcept {
  const char* const name = entry + prefix_length;
  const std::size_t length = std::strcspn(name, "=");
  if (is_of_others(name, length)) return;
  message warning;
  warning.add("tenure: ").add(entry, prefix_length + length).add(" is no option of the heap and changes nothing");
  const option nearest = nearest_option(name, length);
  if (nearest != option::none) {
    warning.add("; did you mean ").add(prefix);
    for (const char* letter = describe(nearest).name; *letter != '\0'; ++letter) {
      const char capital = upper(*letter);
      warning.add(&capital, 1);
    }
    warning.add("?\n");
  } else {
    warning.add(". See `tenure options`.\n");
  }
  warning.write_to(STDERR_FILENO);
}

// One variable whose name begins with the prefix.
void read_entry(const char* entry) noexcept {
  for (std::size_t i = 0; i < option_count; ++i) {
    const char* text = value_in(entry, table[i]);
    if (text != nullptr) return read_value(static_cast<option>(i), entry, text);
  }
  tell_unknown(entry);
}

}  // namespace

const option_description& describe(option which) noexcept {
  TENURE_CHECK(which < option::none);
  return table[static_cast<std::size_t>(which)];
}

std::int64_t value(option which) noexcept {
  return __atomic_load_n(&values[static_cast<std::size_t>(which)], __ATOMIC_RELAXED);
}

bool set_value(option which, std::int64_t new_value) noexcept {
  const option_description& description = describe(which);
  if (new_value < description.minimum || new_value > description.maximum) return false;
  __atomic_store_n(&values[static_cast<std::size_t>(which)], new_value, __ATOMIC_RELAXED);
  return true;
}

bool parse_value(const option_description& description, const char* text, std::int64_t* parsed) noexcept {
  if (description.kind == option_kind::boolean) return parse_boolean(text, parsed);
  if (*text < '0' || *text > '9') return false;
  std::int64_t number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
      return false;
  }
  std::int64_t scale = 1;
  if (!parse_scale(text, description.kind, &scale) || __builtin_mul_overflow(number, scale, &number)) return false;
  if (number < description.minimum || number > description.maximum) return false;
  *parsed = number;
  return true;
}

option find_option(const char* name) noexcept {
  for (std::size_t i = 0; i < option_count; ++i) {
    if (std::strcmp(table[i].name, name) == 0) return static_cast<option>(i);
  }
  return option::none;
}

option nearest_option(const char* name, std::size_t length) noexcept {
  std::size_t least = length / 3;
  auto nearest = option::none;
  for (std::size_t i = 0; i < option_count; ++i) {
    const std::size_t distance = spelling_distance(name, length, table[i].name, std::strlen(table[i].name));
    if (distance > least || (distance == least && nearest != option::none)) continue;
    least = distance;
    nearest = static_cast<option>(i);
  }
  return nearest;
}

void read_options_from_environment() noexcept {
  if (environ == nullptr) return;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, prefix, prefix_length) == 0) read_entry(*entry);
  }
}

}  // namespace tenure::core
