#include "instruments/replay/trace.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

namespace tenure::replay {
namespace {

constexpr std::array<std::pair<std::string_view, trace_format>, 5> formats = {{
    {"oracle-general", trace_format::oracle_general},
    {"csv", trace_format::csv},
    {"integers", trace_format::integers},
    {"arc", trace_format::arc},
    {"lirs", trace_format::lirs},
}};

}  // namespace

std::optional<trace_format> format_named(std::string_view name) {
  const auto found = std::find_if(formats.begin(), formats.end(), [&](const auto& one) { return one.first == name; });
  return found != formats.end() ? std::optional(found->second) : std::nullopt;
}

std::string_view name_of(trace_format format) {
  return std::find_if(formats.begin(), formats.end(), [&](const auto& one) { return one.second == format; })->first;
}

// Each step can be undone, so no two numbers meet.
std::uint64_t identity_of(std::uint64_t number) noexcept {
  number = (number ^ number >> 32) * 0xd6e8feb86659fd93u;
  number = (number ^ number >> 32) * 0xd6e8feb86659fd93u;
  return number ^ number >> 32;
}

// FNV-1a, mixed.
std::uint64_t identity_of(std::string_view text) noexcept {
  std::uint64_t sum = 0xcbf29ce484222325u;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return identity_of(sum);
}

trace_summary summary_of(const trace& of) {
  trace_summary sum;
  std::unordered_set<std::uint64_t> seen;
  for (const request& one : of.requests) {
    sum.requested_bytes += one.size_bytes;
    if (seen.insert(one.identity).second) sum.distinct_bytes += one.size_bytes;
  }
  sum.distinct_objects = seen.size();
  return sum;
}

}  // namespace tenure::replay
