// The messages of a pprof profile, as they are in the file: numbers of texts, and ids that name other messages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tenure::importing {

struct pprof_profile {
  struct value_type {
    std::uint64_t type = 0, unit = 0;  // texts
  };
  struct sample {
    std::vector<std::uint64_t> locations;  // ids
    std::vector<std::uint64_t> values;     // of 64 bits with a sign
  };
  struct mapping {
    std::uint64_t id = 0, begin = 0, end = 0, offset = 0, file = 0, build_id = 0;
  };
  struct line {
    std::uint64_t function = 0, number = 0;
  };
  struct location {
    std::uint64_t id = 0, mapping = 0, address = 0;
    std::vector<line> lines;
  };
  struct function {
    std::uint64_t id = 0, name = 0, system_name = 0, file = 0;
  };

  std::vector<value_type> types;
  std::vector<sample> samples;
  std::vector<mapping> mappings;
  std::vector<location> locations;
  std::vector<function> functions;
  std::vector<std::string> texts;
  value_type period_type;
  std::uint64_t period = 0;

  // Empty for a number that names none.
  const std::string& text(std::uint64_t number) const {
    static const std::string none;
    return number < texts.size() ? texts[number] : none;
  }
};

// Nothing when the bytes are no such message.
std::optional<pprof_profile> parse_pprof(std::span<const std::uint8_t> bytes);

}  // namespace tenure::importing
