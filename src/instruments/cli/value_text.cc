#include "instruments/cli/value_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "instruments/cli/parser.h"

namespace tenure::cli {
namespace {

constexpr std::string_view between = "..";

template <class Parse>
std::optional<value_range> parse_range(std::string_view text, Parse&& parse) {
  const std::size_t at = text.find(between);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view front = text.substr(0, at), back = text.substr(at + between.size());
  if (front.empty() && back.empty()) return std::nullopt;
  value_range result;
  for (const auto& [part, into] : {std::pair{front, &result.first}, std::pair{back, &result.last}}) {
    if (part.empty()) continue;
    const std::optional<std::uint64_t> value = parse(part);
    if (!value) return std::nullopt;
    *into = *value;
  }
  return result.first <= result.last ? std::optional(result) : std::nullopt;
}

std::optional<std::uint64_t> bytes_of(std::string_view text) { return parse_bytes(std::string(text)); }

std::optional<std::uint64_t> amount_of(std::string_view text, limit_unit unit) {
  if (unit == limit_unit::bytes) return bytes_of(text);
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::optional<double> share_of(std::string_view percent) {
  double number = 0;
  const char* const end = percent.data() + percent.size();
  const auto [stop, error] = std::from_chars(percent.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || stop != end || std::signbit(number) || !std::isfinite(number)) return std::nullopt;
  return number / 100;
}

}  // namespace

std::optional<std::uint64_t> parse_time(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 6> units = {
      {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
  constexpr double longest_ns = 9.2e18;
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || std::signbit(number) || !std::isfinite(number)) return std::nullopt;
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  if (unit.empty() && number == 0) return 0;
  for (const auto& [name, ns] : units)
    if (unit == name && number * ns < longest_ns) return static_cast<std::uint64_t>(std::llround(number * ns));
  return std::nullopt;
}

std::optional<value_range> parse_time_range(std::string_view text) { return parse_range(text, parse_time); }

std::optional<value_range> parse_byte_range(std::string_view text) {
  if (text.find(between) != std::string_view::npos) return parse_range(text, bytes_of);
  const std::optional<std::uint64_t> size = bytes_of(text);
  return size ? std::optional(value_range{*size, *size}) : std::nullopt;
}

std::optional<limit_value> parse_limit(std::string_view text, limit_unit unit) {
  limit_value result;
  // A function's name may have an = itself, a limit has none.
  if (const std::size_t at = text.rfind('='); at != std::string_view::npos) {
    result.name = text.substr(0, at);
    text.remove_prefix(at + 1);
    if (result.name.empty()) return std::nullopt;
  }
  result.is_growth = text.find_first_of("+%") != std::string_view::npos;
  if (text.starts_with('+')) text.remove_prefix(1);
  bool has_share = false, has_amount = false;
  while (true) {
    const std::size_t plus = std::min(text.find('+'), text.size());
    std::string_view term = text.substr(0, plus);
    const bool is_share = term.ends_with('%');
    if (std::exchange(is_share ? has_share : has_amount, true)) return std::nullopt;
    if (is_share) {
      term.remove_suffix(1);
      const auto share = share_of(term);
      if (!share) return std::nullopt;
      result.share = *share;
    } else {
      const auto amount = amount_of(term, unit);
      if (!amount) return std::nullopt;
      result.amount = *amount;
    }
    if (plus == text.size()) return result;
    text.remove_prefix(plus + 1);
  }
}

}  // namespace tenure::cli
