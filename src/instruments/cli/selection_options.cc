#include "instruments/cli/selection_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "instruments/cli/output_file.h"
#include "instruments/cli/value_text.h"

namespace tenure::cli {
namespace {

constexpr std::chrono::milliseconds patience{1000}, pause{100};
constexpr const char* clear_line = "\r\033[K";

}  // namespace

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

progress_line::progress_line() : is_terminal_(isatty(STDERR_FILENO) == 1), next_(clock::now() + patience) {}

progress_line::~progress_line() {
  if (is_shown_) write_all(STDERR_FILENO, clear_line);
}

void progress_line::show(const char* doing, double share) {
  if (is_due()) write_all(STDERR_FILENO, fmt::format("{}{}: {:.0f} %", clear_line, doing, share * 100));
}

void progress_line::show(const std::string& doing) {
  if (is_due()) write_all(STDERR_FILENO, clear_line + doing);
}

bool progress_line::is_due() {
  if (!is_terminal_ || clock::now() < next_) return false;
  is_shown_ = true;
  next_ = clock::now() + pause;
  return true;
}

}  // namespace tenure::cli
