#include "instruments/cli/simulate_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <thread>

#include "instruments/cli/hit_ratio_plot.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/recording_input.h"
#include "instruments/cli/simulate_report.h"
#include "instruments/cli/terminal.h"
#include "instruments/cli/watched_program.h"
#include "instruments/replay/trace_reader.h"

namespace tenure::cli {
namespace {

constexpr std::string_view usual_sizes = "0.1%,1%,5%,10%,20%,50%";
constexpr std::size_t most_sizes = 100;

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

std::expected<std::vector<std::string_view>, std::string> policies_of(const std::string& list) {
  const auto known = replay::policy_names();
  std::vector<std::string_view> policies;
  for (const std::string& word : split(list)) {
    if (word == "all") {
      policies.assign(known.begin(), known.end());
      continue;
    }
    const auto found = std::find(known.begin(), known.end(), word);
    if (found == known.end()) {
      const auto meant = nearest(word, {known.begin(), known.end()});
      return std::unexpected("there is no policy '" + word + "'" +
                             (meant ? "; did you mean " + *meant + "?" : ". See `tenure help simulate`."));
    }
    if (std::find(policies.begin(), policies.end(), *found) == policies.end()) policies.push_back(*found);
  }
  return policies;
}

// A size before the trace is known: a number, or a share of what it asks for.
struct wanted_size {
  std::uint64_t amount = 0;
  double share = 0;
};

std::expected<std::vector<wanted_size>, std::string> sizes_of(std::string_view list) {
  std::vector<wanted_size> sizes;
  for (const std::string& word : split(list)) {
    wanted_size one;
    if (word.ends_with('%')) {
      double percent = 0;
      const char* const end = word.data() + word.size() - 1;
      const auto [stop, error] = std::from_chars(word.data(), end, percent);
      if (error == std::errc() && stop == end && percent > 0 && percent <= 100) one.share = percent / 100;
    } else {
      one.amount = parse_bytes(word).value_or(0);
    }
    if (one.amount == 0 && one.share == 0) {
      return std::unexpected("--size takes sizes such as 1000, 64K or 10%, with commas between, not '" + word + "'.");
    }
    sizes.push_back(one);
  }
  if (sizes.size() > most_sizes) return std::unexpected("--size takes a hundred sizes at most.");
  return sizes;
}

// In the order given; a size that comes twice, where a trace is small, is left out.
std::vector<cache_size> sizes_for(const std::vector<wanted_size>& wanted, std::uint64_t whole) {
  std::vector<cache_size> sizes;
  for (const wanted_size& one : wanted) {
    const double part = one.share * static_cast<double>(whole);
    const std::uint64_t capacity =
        one.amount != 0 ? one.amount : std::max<std::uint64_t>(static_cast<std::uint64_t>(std::llround(part)), 1);
    const bool is_there =
        std::any_of(sizes.begin(), sizes.end(), [&](const auto& s) { return s.capacity == capacity; });
    if (!is_there) sizes.push_back({capacity, static_cast<double>(capacity) / static_cast<double>(whole)});
  }
  return sizes;
}

struct request_of_user {
  std::string trace;
  std::vector<std::string_view> policies;
  std::vector<wanted_size> sizes;
  bool is_in_bytes = false;
  replay::reader_options reading;
  unsigned threads = 1;
};

std::expected<request_of_user, std::string> understood(const arguments& given) {
  request_of_user wanted;
  if (given.words.size() != 1)
    return std::unexpected("simulate needs one trace: " + command_usage(*given.command) + ".");
  wanted.trace = given.words.front();
  const auto policies = policies_of(given.value("policy").value_or("all"));
  if (!policies) return std::unexpected(policies.error());
  wanted.policies = *policies;
  const auto sizes = sizes_of(given.value("size").value_or(std::string(usual_sizes)));
  if (!sizes) return std::unexpected(sizes.error());
  wanted.sizes = *sizes;
  wanted.is_in_bytes = given.has("bytes");
  wanted.reading.format = replay::format_named(given.value("format").value_or("auto"));
  if (const auto columns = given.value("columns")) {
    const auto parsed = replay::parse_columns(*columns);
    if (!parsed) return std::unexpected(parsed.error());
    if (wanted.reading.format && wanted.reading.format != replay::trace_format::csv)
      return std::unexpected("--columns is of csv, not of --format " + given.value("format").value_or("") + ".");
    wanted.reading.columns = *parsed;
    wanted.reading.format = replay::trace_format::csv;
  }
  const auto number = [&](const char* option) {
    return std::strtoull(given.value(option).value_or("").c_str(), nullptr, 10);
  };
  if (given.has("requests")) wanted.reading.most_requests = number("requests");
  wanted.threads = given.has("threads") ? static_cast<unsigned>(std::min(number("threads"), 256ull))
                                        : std::max(std::thread::hardware_concurrency(), 1u);
  if (wanted.threads == 0 || wanted.reading.most_requests == 0)
    return std::unexpected("--threads and --requests take 1 at least.");
  if (given.has("json") && given.has("plot"))
    return std::unexpected("--plot is of text; leave --json out, or draw with --svg.");
  return wanted;
}

std::expected<simulation_answer, std::string> answer_to(const request_of_user& wanted) {
  progress_line progress("reading");
  const auto trace = replay::read_trace(wanted.trace, wanted.reading);
  if (!trace) return std::unexpected(trace.error());
  if (wanted.is_in_bytes && !trace->has_sizes) {
    return std::unexpected(fmt::format("'{}' ({}) does not say how large its objects are: leave --bytes out.",
                                       wanted.trace, name_of(trace->format)));
  }
  simulation_answer answer;
  answer.name = wanted.trace == "-" ? "standard input" : std::filesystem::path(wanted.trace).filename().string();
  answer.format = trace->format;
  answer.has_sizes = trace->has_sizes;
  answer.requests = trace->requests.size();
  answer.summary = summary_of(*trace);
  answer.is_in_bytes = wanted.is_in_bytes;
  answer.policies = wanted.policies;
  const std::uint64_t whole = wanted.is_in_bytes ? answer.summary.distinct_bytes : answer.summary.distinct_objects;
  answer.sizes = sizes_for(wanted.sizes, std::max<std::uint64_t>(whole, 1));
  replay::plan plan;
  plan.policies = wanted.policies;
  plan.is_in_bytes = wanted.is_in_bytes;
  plan.threads = wanted.threads;
  for (const cache_size& size : answer.sizes) plan.capacities.push_back(size.capacity);
  plan.progress = [&](double share) { progress.show("simulating", share); };
  answer.results = simulate(*trace, plan);
  return answer;
}

}  // namespace

int simulate_command(const arguments& given) {
  const auto wanted = understood(given);
  if (!wanted) return fail(exit_usage, wanted.error());
  const auto output = given.value("output");
  const auto picture = given.value("svg");
  for (const auto& file : {output, picture}) {
    if (!file) continue;
    if (const auto can = check_output(*file); !can) return fail(exit_usage, can.error());
  }
  if (picture && are_one_output(*picture, output.value_or("-")))
    return fail(exit_usage, "--svg and the answer cannot both go to one file.");
  const auto answer = answer_to(*wanted);
  if (!answer) return fail(exit_usage, answer.error());
  if (picture) {
    if (const auto written = write_output(*picture, plot_as_svg(*answer)); !written)
      return fail(exit_internal, written.error());
  }
  if (given.has("json")) return write_answer(output, simulation_json(*answer));
  const bool is_colored =
      !output && use_color(color_choice_named(given.value("color").value_or("auto")), STDOUT_FILENO);
  std::string text = simulation_text(*answer, colors(is_colored));
  if (given.has("plot")) text += plot_as_text(*answer, output ? 80 : text_columns(STDOUT_FILENO));
  return write_answer(output, text);
}

}  // namespace tenure::cli
