// Options of the process: read once from the environment, before the first allocation; one table (options.def).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

enum class option_kind : std::uint8_t { boolean, bytes, milliseconds, integer };

enum class option : std::uint32_t {
#define TENURE_OPTION(name, kind, def, minimum, maximum, unit, summary, when) name,
#include "core/base/options.def"
#undef TENURE_OPTION
  none  // as many as there are
};

struct option_description {
  const char* name;         // lower case
  const char* environment;  // TENURE_NAME
  option_kind kind;
  std::int64_t default_value, minimum, maximum;
  const char* unit;
  const char* summary;
  const char* when;
};

inline constexpr std::size_t option_count = static_cast<std::size_t>(option::none);

const option_description& describe(option which) noexcept;

// The value in force. Thread-safe; costs one load.
std::int64_t value(option which) noexcept;

// Sets it while the program runs. False, and nothing changes, when the value is outside the option's range.
bool set_value(option which, std::int64_t value) noexcept;

// Takes "4M", "on", "250"; false for what is not a value of that kind and range.
bool parse_value(const option_description& description, const char* text, std::int64_t* value) noexcept;

// By lower-case name; option::none if there is none.
option find_option(const char* name) noexcept;

// The option whose name is spelled most like this one, if a third of its letters or fewer are different; else
// option::none.
option nearest_option(const char* name, std::size_t length) noexcept;

// Reads TENURE_* from the environment; called once, from the heap's initialisation. A value that does not parse is
// reported in one sentence on standard error and the default stays; so is a name that is nobody's.
void read_options_from_environment() noexcept;

}  // namespace tenure::core
