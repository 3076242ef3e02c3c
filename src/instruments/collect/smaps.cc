#include "instruments/collect/smaps.h"

#include <charconv>
#include <optional>

namespace tenure::collect {
namespace {

// Takes a number from the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view take_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const std::size_t end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

// "7f00-7f10 r-xp 00001000 fe:01 1234    /usr/lib/x.so"
std::optional<mapping> parse_head(std::string_view line) {
  mapping result;
  const auto begin = take_number(line, 16);
  if (!begin || !take(line, '-')) return std::nullopt;
  const auto end = take_number(line, 16);
  if (!end || *end <= *begin || !take(line, ' ')) return std::nullopt;
  result.begin = *begin;
  result.end = *end;
  result.permissions = take_word(line);
  if (result.permissions.size() != 4) return std::nullopt;
  std::string_view offset = take_word(line);
  const auto offset_bytes = take_number(offset, 16);
  if (!offset_bytes) return std::nullopt;
  result.offset_bytes = *offset_bytes;
  take_word(line);  // device
  take_word(line);  // inode
  const std::size_t name = line.find_first_not_of(' ');
  if (name != std::string_view::npos) result.name = line.substr(name);
  return result;
}

// "Rss:                 12 kB"
void read_value(std::string_view line, mapping& of) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view key = line.substr(0, colon);
  std::uint64_t* target = key == "Rss"         ? &of.resident_bytes
                          : key == "Anonymous" ? &of.anonymous_bytes
                          : key == "Swap"      ? &of.swapped_bytes
                                               : nullptr;
  if (target == nullptr) return;
  line.remove_prefix(colon + 1);
  std::string_view number = take_word(line);
  const auto kilobytes = take_number(number, 10);
  // No process has more than 2^47 bytes: a greater figure is damage.
  if (kilobytes && *kilobytes < (1ull << 37)) *target = *kilobytes * 1024;
}

}  // namespace

std::vector<mapping> parse_smaps(std::string_view text, bool is_truncated) {
  std::vector<mapping> result;
  while (!text.empty()) {
    const std::size_t length = text.find('\n');
    if (length == std::string_view::npos && is_truncated) break;
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(length == std::string_view::npos ? text.size() : length + 1);
    // Head lines begin with a lower-case hexadecimal address, value lines with a capital.
    const bool is_head = !line.empty() && ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f'));
    if (is_head) {
      if (auto head = parse_head(line)) result.push_back(std::move(*head));
    } else if (!result.empty()) {
      read_value(line, result.back());
    }
  }
  if (is_truncated && !result.empty()) result.pop_back();
  return result;
}

memory_map make_memory_map(std::string_view text, bool is_truncated, std::uint64_t time_ns) {
  memory_map result;
  result.time_ns = time_ns;
  result.truncated = is_truncated;
  result.mappings = parse_smaps(text, is_truncated);
  for (const mapping& one : result.mappings) result.resident_bytes += one.resident_bytes;
  return result;
}

}  // namespace tenure::collect
