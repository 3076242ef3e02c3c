#include "instruments/cli/selection_options.h"

#include <cstdlib>

#include "instruments/cli/value_text.h"

namespace tenure::cli {

// The parser has held every value against its kind.
analyze::selection selection_of(const arguments& given) {
  analyze::selection result;
  if (const auto window = parse_time_range(given.value("window").value_or(""))) {
    result.begin_ns = window->first;
    result.end_ns = window->last;
  }
  if (const auto size = parse_byte_range(given.value("size").value_or(""))) {
    result.least_bytes = size->first;
    result.most_bytes = size->last;
  }
  if (const auto process = given.value("process"))
    result.process = static_cast<std::uint32_t>(std::strtoul(process->c_str(), nullptr, 10));
  result.thread = given.value("thread").value_or("");
  result.module = given.value("module").value_or("");
  result.function = given.value("function").value_or("");
  return result;
}

}  // namespace tenure::cli
