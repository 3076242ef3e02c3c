#include "instruments/replay/csv_line.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <span>

namespace tenure::replay {
namespace {

constexpr std::array<std::string_view, 9> identity_names = {"id",  "obj_id", "object_id", "obj-id", "object",
                                                            "key", "obj",    "block",     "lba"};
constexpr std::array<std::string_view, 7> size_names = {"size",  "obj_size", "object_size", "obj-size",
                                                        "bytes", "length",   "len"};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_one_of(std::string_view field, std::span<const std::string_view> names) {
  std::string lower(field);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(names.begin(), names.end(), lower) != names.end();
}

char delimiter_of(std::string_view line) {
  for (const char one : {',', '\t', ';', '|'})
    if (line.find(one) != std::string_view::npos) return one;
  return ',';
}

// A field within quotes may hold the delimiter.
void split(std::string_view line, char delimiter, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const std::string_view rest = trimmed(line);
    const bool is_quoted = rest.starts_with('"') && rest.find('"', 1) != std::string_view::npos;
    if (is_quoted) line = rest;
    const std::size_t end = line.find(delimiter, is_quoted ? line.find('"', 1) : 0);
    std::string_view field = trimmed(line.substr(0, end));
    if (is_quoted && field.ends_with('"')) field = field.substr(1, field.size() - 2);
    fields.push_back(field);
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::expected<csv_columns, std::string> parse_columns(std::string_view text) {
  const auto wrong = [&] {
    return std::unexpected("--columns takes the numbers of columns such as id=2,size=3, not '" + std::string(text) +
                           "'.");
  };
  csv_columns columns;
  std::vector<std::string_view> parts;
  split(text, ',', parts);
  for (const std::string_view part : parts) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return wrong();
    const auto number = number_in(part.substr(equals + 1));
    const std::string_view name = part.substr(0, equals);
    if (!number || *number == 0 || *number > 1000) return wrong();
    if (name != "id" && name != "size") return wrong();
    (name == "id" ? columns.identity : columns.size) = *number;
  }
  if (columns.identity == 0 || columns.identity == columns.size) return wrong();
  return columns;
}

// True when the first line holds names.
bool csv_lines::begin(const std::vector<std::string_view>& fields) {
  csv_columns named;
  for (std::size_t i = fields.size(); i-- > 0;) {
    if (is_one_of(fields[i], identity_names)) named.identity = i + 1;
    if (is_one_of(fields[i], size_names)) named.size = i + 1;
  }
  if (columns_.identity == 0) {
    columns_ = named.identity != 0  ? named
               : fields.size() == 1 ? csv_columns{1, 0}
               : fields.size() == 2 ? csv_columns{1, 2}
                                    : csv_columns{2, 3};
  }
  // Names that are not known stand where a size must be a number.
  return named.identity != 0 || named.size != 0 ||
         (columns_.size != 0 && columns_.size <= fields.size() && !number_in(fields[columns_.size - 1]));
}

std::expected<std::optional<request>, std::string> csv_lines::take(std::string_view line) {
  if (!has_begun_) delimiter_ = delimiter_of(line);
  split(line, delimiter_, fields_);
  if (!has_begun_) {
    has_begun_ = true;
    if (begin(fields_)) return std::nullopt;
  }
  const std::size_t needed = std::max(columns_.identity, columns_.size);
  if (fields_.size() < needed) {
    return std::unexpected("has " + std::to_string(fields_.size()) + " columns, and the one numbered " +
                           std::to_string(needed) + " is needed");
  }
  const std::string_view object = fields_[columns_.identity - 1];
  if (object.empty()) return std::unexpected("names no object");
  request one;
  const auto number = number_in(object);
  one.identity = number ? identity_of(*number) : identity_of(object);
  if (columns_.size == 0) return one;
  const std::string_view size = fields_[columns_.size - 1];
  const auto bytes = number_in(size);
  if (!bytes || *bytes > std::numeric_limits<std::uint32_t>::max()) {
    return std::unexpected("has '" + std::string(size.substr(0, 40)) +
                           "' as the size of its object, which is no number up to 4294967295");
  }
  one.size_bytes = static_cast<std::uint32_t>(*bytes);
  return one;
}

}  // namespace tenure::replay
