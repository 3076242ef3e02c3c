#include "instruments/cli/simulate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "instruments/cli/json_text.h"

namespace tenure::cli {
namespace {

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// One line for the whole: what was asked for.
std::string head_of(const simulation_answer& answer) {
  std::string text = fmt::format("{} ({}): {} requests for {} objects", answer.name, name_of(answer.format),
                                 with_commas(answer.requests), with_commas(answer.summary.distinct_objects));
  if (answer.has_sizes) {
    text += fmt::format("; {} asked for, of {}", size_text(answer.summary.requested_bytes, true),
                        size_text(answer.summary.distinct_bytes, true));
  }
  return text + "\n";
}

template <class figure>
std::string table_of(const simulation_answer& answer, const palette& paint, const char* title, figure of) {
  std::size_t name_columns = 6;
  for (const std::string_view policy : answer.policies) name_columns = std::max(name_columns, policy.size());
  std::vector<std::string> heads;
  std::size_t columns = 7;
  for (const cache_size& size : answer.sizes) {
    heads.push_back(size_text(size.capacity, answer.is_in_bytes));
    columns = std::max(columns, heads.back().size());
  }
  std::string text = fmt::format("\n{}{}{}\n{:<{}}", paint.bold, title, paint.reset, "policy", name_columns);
  for (const std::string& head : heads) text += fmt::format("  {:>{}}", head, columns);
  text += fmt::format("\n{:<{}}", "", name_columns);
  for (const cache_size& size : answer.sizes)
    text += fmt::format("  {:>{}}", fmt::format("{:.3g}%", 100 * size.share), columns);
  text += "\n";
  for (std::size_t policy = 0; policy < answer.policies.size(); ++policy) {
    text += fmt::format("{:<{}}", answer.policies[policy], name_columns);
    for (std::size_t size = 0; size < answer.sizes.size(); ++size)
      text += fmt::format("  {:>{}.2f}", 100 * of(answer.result(policy, size)), columns);
    text += "\n";
  }
  return text;
}

// At each size the policy that hits most without knowing the future.
std::string best_of(const simulation_answer& answer) {
  std::string text;
  for (std::size_t size = 0; size < answer.sizes.size(); ++size) {
    std::string_view best;
    std::uint64_t hits = 0;
    for (std::size_t policy = 0; policy < answer.policies.size(); ++policy) {
      if (answer.policies[policy] == replay::opt_name) continue;
      const replay::simulated& one = answer.result(policy, size);
      if (!best.empty() && one.hits <= hits) continue;
      best = one.policy;
      hits = one.hits;
    }
    if (best.empty()) return {};
    text += fmt::format("{}{} at {}", text.empty() ? "\nMost hits: " : ", ", best,
                        size_text(answer.sizes[size].capacity, answer.is_in_bytes));
  }
  return text + ".\n";
}

}  // namespace

double simulation_answer::hit_ratio(const replay::simulated& one) const { return ratio(one.hits, requests); }
double simulation_answer::byte_hit_ratio(const replay::simulated& one) const {
  return ratio(one.hit_bytes, summary.requested_bytes);
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string size_text(std::uint64_t capacity, bool is_in_bytes) {
  if (!is_in_bytes) return with_commas(capacity);
  constexpr std::array<const char*, 7> units = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  auto value = static_cast<double>(capacity);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f}{}", value, unit == 0 || value >= 100 ? 0 : 1, units[unit]);
}

std::string simulation_text(const simulation_answer& answer, const palette& paint) {
  const std::string of = answer.is_in_bytes ? "a cache of so many bytes" : "a cache of so many objects";
  std::string text = head_of(answer);
  text += table_of(answer, paint, ("Hits, % of the requests, of " + of).c_str(),
                   [&](const replay::simulated& one) { return answer.hit_ratio(one); });
  if (answer.has_sizes) {
    text += table_of(answer, paint, ("Hits, % of the bytes, of " + of).c_str(),
                     [&](const replay::simulated& one) { return answer.byte_hit_ratio(one); });
  }
  return text + best_of(answer);
}

std::string simulation_json(const simulation_answer& answer) {
  const auto integer = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  json_writer json;
  json.begin_object();
  json.begin_object("trace");
  json.member("name", answer.name);
  json.member("format", name_of(answer.format));
  json.member("requests", integer(answer.requests));
  json.member("distinct_objects", integer(answer.summary.distinct_objects));
  if (answer.has_sizes) {
    json.member("requested_bytes", integer(answer.summary.requested_bytes));
    json.member("distinct_bytes", integer(answer.summary.distinct_bytes));
  }
  json.end_object();
  json.member("unit", answer.is_in_bytes ? "bytes" : "objects");
  json.begin_array("results");
  for (std::size_t policy = 0; policy < answer.policies.size(); ++policy) {
    for (std::size_t size = 0; size < answer.sizes.size(); ++size) {
      const replay::simulated& one = answer.result(policy, size);
      json.begin_object();
      json.member("policy", one.policy);
      json.member("size", integer(one.capacity));
      json.number("share", answer.sizes[size].share);
      json.member("hits", integer(one.hits));
      json.number("hit_ratio", answer.hit_ratio(one));
      if (answer.has_sizes) {
        json.member("hit_bytes", integer(one.hit_bytes));
        json.number("byte_hit_ratio", answer.byte_hit_ratio(one));
      }
      json.end_object();
    }
  }
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
