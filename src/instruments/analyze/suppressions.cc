#include "instruments/analyze/suppressions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tenure::analyze {
namespace {

constexpr std::string_view kind_of_rule = "leak:";

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Functions of glibc that allocate what stays until the process ends, by how their names begin. What is not here, and
// meant: strdup, getline, opendir and all others whose block is the caller's.
bool keeps_for_itself(std::string_view function) {
  static constexpr std::array beginnings = {
      std::string_view("_IO_file_doallocate"),
      std::string_view("_IO_wfile_doallocate"),
      std::string_view("_IO_wdoallocbuf"),
      std::string_view("setlocale"),
      std::string_view("_nl_"),
      std::string_view("__bindtextdomain"),
      std::string_view("set_binding_values"),
      std::string_view("__textdomain"),
      std::string_view("__dcigettext"),
      std::string_view("__gconv"),
      std::string_view("__wcsmbs"),
      std::string_view("__nss_"),
      std::string_view("nss_"),
      std::string_view("__libc_allocate_once"),
      std::string_view("getpw"),
      std::string_view("getgr"),
      std::string_view("tzset"),
      std::string_view("__tz"),
      std::string_view("_dl_"),
      std::string_view("allocate_dtv"),
      std::string_view("__cxa_thread_atexit"),
      std::string_view("__new_exitfn"),
      std::string_view("__pthread_create"),
      std::string_view("pthread_create"),
      std::string_view("bindtextdomain"),
      std::string_view("textdomain"),
      std::string_view("dlopen"),
      std::string_view("__res_"),
  };
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view one) { return function.starts_with(one); });
}

}  // namespace

bool is_suppressed_by(std::string_view pattern, std::string_view text) {
  bool is_free = !pattern.starts_with('^');  // what comes next may lie anywhere behind
  if (!is_free) pattern.remove_prefix(1);
  const bool is_to_end = pattern.ends_with('$');
  if (is_to_end) pattern.remove_suffix(1);
  while (!pattern.empty()) {
    const std::size_t star = std::min(pattern.find('*'), pattern.size());
    const std::string_view piece = pattern.substr(0, star);
    const bool is_last = star == pattern.size();
    const std::size_t at = is_last && is_to_end && is_free ? text.rfind(piece) : text.find(piece);
    if (at == std::string_view::npos || (!is_free && at != 0)) return false;
    text.remove_prefix(at + piece.size());
    if (is_last) return !is_to_end || text.empty();
    pattern.remove_prefix(star + 1);
    is_free = true;
  }
  return !is_to_end || is_free || text.empty();
}

std::expected<void, std::string> suppressions::add(std::string_view text) {
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view rule = without_blanks(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (rule.empty() || rule.starts_with('#')) continue;
    if (rule.find(':') == std::string_view::npos)
      return std::unexpected(fmt::format("line {} is no rule such as leak:load_plugins: '{}'", line, rule));
    if (rule.starts_with(kind_of_rule) && rule.size() > kind_of_rule.size())
      patterns_.emplace_back(rule.substr(kind_of_rule.size()));
  }
  return {};
}

bool suppressions::takes(const process_profile& of, frame_resolver& frames, std::uint32_t stack) const {
  if (is_of_the_runtime(of, frames, stack)) return true;
  if (patterns_.empty() || stack >= of.record.stacks.size()) return false;
  const auto fits_any = [&](std::string_view text) {
    return !text.empty() && std::any_of(patterns_.begin(), patterns_.end(),
                                        [&](const std::string& one) { return is_suppressed_by(one, text); });
  };
  const auto& locations = of.record.stacks[stack].locations;
  return std::any_of(locations.begin(), locations.end(), [&](std::uint32_t location) {
    const std::uint32_t module = of.record.locations[location].module;
    if (module != no_index && fits_any(of.record.modules[module].path)) return true;
    const std::vector<frame>& here = frames.at(location);
    return std::any_of(here.begin(), here.end(),
                       [&](const frame& one) { return fits_any(one.function) || fits_any(one.file); });
  });
}

bool is_of_the_runtime(const process_profile& of, frame_resolver& frames, std::uint32_t stack) {
  if (stack >= of.record.stacks.size() || of.record.stacks[stack].locations.empty()) return false;
  for (const std::uint32_t location : of.record.stacks[stack].locations) {
    const std::uint32_t module = of.record.locations[location].module;
    if (module == no_index || !is_runtime_module(of.record.modules[module].path)) return false;
    const std::vector<frame>& here = frames.at(location);
    if (std::any_of(here.begin(), here.end(), [](const frame& one) { return keeps_for_itself(one.function); }))
      return true;
  }
  // Nothing of the program is in it; of a stack that was cut off nobody knows.
  return of.record.stacks[stack].end == collect::stack_end::complete;
}

}  // namespace tenure::analyze
