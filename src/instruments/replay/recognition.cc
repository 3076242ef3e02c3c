#include "instruments/replay/recognition.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "instruments/replay/csv_line.h"

namespace tenure::replay {
namespace {

constexpr std::size_t lines_looked_at = 50;

template <class number>
number little_endian(std::string_view bytes, std::size_t at) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(number); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return static_cast<number>(value);
}

bool is_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 32 || c == '\t' || c == '\n' || c == '\r';
  });
}

// What has packed a file, by its first bytes, and the command that unpacks it.
struct packing {
  std::string_view magic, name, command;
};
constexpr std::array<packing, 3> packings = {{{"\x28\xb5\x2f\xfd", "zstd", "zstdcat"},
                                              {"\x1f\x8b", "gzip", "zcat"},
                                              {"\xfd"
                                               "7zXZ",
                                               "xz", "xzcat"}}};

std::expected<trace_format, std::string> recognise_binary(std::string_view head) {
  const std::uint64_t whole = head.size() / oracle_record_bytes;
  std::uint32_t before = 0;
  bool is_oracle = whole > 0;
  for (std::uint64_t place = 0; place < whole && is_oracle; ++place) {
    const oracle_record one = oracle_record_in(head.substr(place * oracle_record_bytes));
    is_oracle = is_possible_next(one, place) && one.time >= before;
    before = one.time;
  }
  if (is_oracle) return trace_format::oracle_general;
  return std::unexpected("is in no format that is known");
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::size_t end = line.find_first_of(" \t\r");
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end);
  }
}

}  // namespace

oracle_record oracle_record_in(std::string_view bytes) noexcept {
  return {little_endian<std::uint32_t>(bytes, 0), little_endian<std::uint64_t>(bytes, 4),
          little_endian<std::uint32_t>(bytes, 12), little_endian<std::int64_t>(bytes, 16)};
}

bool is_possible_next(const oracle_record& one, std::uint64_t place) noexcept {
  if (one.next == -1 || one.next == std::numeric_limits<std::int64_t>::max()) return true;
  return one.next > 0 && static_cast<std::uint64_t>(one.next) > place;
}

std::expected<trace_format, std::string> recognise_format(std::string_view head) {
  for (const packing& one : packings) {
    if (!head.starts_with(one.magic)) continue;
    return std::unexpected("is compressed by " + std::string(one.name) + ": `" + std::string(one.command) +
                           " FILE | tenure simulate -`");
  }
  if (!is_text(head)) return recognise_binary(head);
  bool has_stars = false, are_integers = true, are_fours = true;
  std::size_t lines = 0;
  while (!head.empty() && lines < lines_looked_at) {
    const std::size_t end = head.find('\n');
    // The last line may be cut off: it counts where there is no other.
    if (end == std::string_view::npos && lines > 0) break;
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
    if (line.find_first_of(",;|") != std::string_view::npos) return trace_format::csv;
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty() || words.front().starts_with('#')) continue;
    ++lines;
    if (words.size() == 1 && words.front() == "*") {
      has_stars = true;
      continue;
    }
    const bool are_numbers =
        std::all_of(words.begin(), words.end(), [](std::string_view word) { return number_in(word).has_value(); });
    are_integers &= are_numbers && words.size() == 1;
    are_fours &= are_numbers && words.size() == 4 && line.find('\t') == std::string_view::npos;
    if (!are_integers && !are_fours && line.find('\t') != std::string_view::npos) return trace_format::csv;
  }
  if (lines == 0) return std::unexpected("holds no requests");
  if (are_integers) return has_stars ? trace_format::lirs : trace_format::integers;
  if (are_fours && !has_stars) return trace_format::arc;
  return std::unexpected("is in no format that is known; where it is a table or a list of names, give --format csv");
}

}  // namespace tenure::replay
