#include "instruments/cli/diff_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "instruments/analyze/format.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/selection_options.h"

namespace tenure::cli {
namespace {

using analyze::change;
using analyze::changed_site;
using analyze::difference;
using analyze::measure;

constexpr int compared_name_width = 44;

// What an imported recording must tell for a measure; what is held at the moment each does.
std::uint64_t needed_for(measure of) {
  if (of == measure::allocated_bytes || of == measure::allocated_blocks) return collect::gap_allocated;
  return of == measure::left_bytes ? std::uint64_t{collect::gap_times} : 0;
}

std::string by_name(measure of) {
  static constexpr std::array names = {"held", "allocated", "blocks", "left"};
  return names[static_cast<std::size_t>(of)];
}

std::string name_of(measure of, const diff_options& options) {
  if (of == measure::allocated_bytes) return "allocated";
  if (of == measure::allocated_blocks) return "blocks";
  if (of == measure::left_bytes)
    return options.query.selected.end_ns == analyze::no_end ? "never freed" : "left at the window's end";
  if ((options.gaps & collect::gap_times) != 0) return "held";
  return options.moment_before_ns ? "held" : options.query.at_ns ? "held then" : "held at the peak";
}

std::string value_text(double value, measure of) {
  return of == measure::allocated_blocks ? analyze::format_count(value) : analyze::format_bytes(value);
}

std::string difference_text(const change& one, measure of) {
  const double difference = one.difference();
  if (difference == 0) return "0";
  return (difference > 0 ? "+" : "-") + value_text(std::abs(difference), of);
}

std::string change_share(const change& one) {
  if (one.before == 0) return one.after == 0 ? "" : "new";
  if (one.after == 0) return "gone";
  const double share = one.difference() / one.before;
  return share == 0 ? "" : (share > 0 ? "+" : "-") + analyze::format_share(std::abs(share));
}

const changed_site* greatest_site_of(const difference& of, const changed_site& function) {
  const auto found = std::find_if(of.by_site.begin(), of.by_site.end(),
                                  [&](const changed_site& one) { return one.frames[0] == function.frames[0]; });
  return found != of.by_site.end() ? &*found : nullptr;
}

std::string sides_text(const std::vector<std::filesystem::path>& side) {
  return side.size() == 1 ? side[0].string() : fmt::format("{} and {} more", side[0].string(), side.size() - 1);
}

std::string compared_heading(const difference& of, const diff_options& options, const palette& paint) {
  std::string text;
  if (options.moment_before_ns && options.moment_after_ns)
    text += fmt::format("{}Compared{}  {} after {} and after {}\n", paint.bold, paint.reset, options.before[0].string(),
                        analyze::format_duration(*options.moment_before_ns),
                        analyze::format_duration(*options.moment_after_ns));
  else
    text += fmt::format("{}Compared{}  {} with {}\n", paint.bold, paint.reset, sides_text(options.before),
                        options.request.is_given() ? joined(options.request.command) : sides_text(options.after));
  if (const std::string chosen = describe(options.query.selected); !chosen.empty())
    text += fmt::format("{}Only{} what was {}.\n", paint.bold, paint.reset, chosen);
  for (const std::string& sentence : options.sources) text += wrapped(sentence, options.columns, 2);
  if (!of.is_exact)
    text +=
        fmt::format("{}Not exact:{} a recording was cut off, is damaged, or lost events; `tenure report` says what.\n",
                    paint.warning, paint.reset);
  std::vector<table_row> rows;
  for (std::size_t m = 0; m < analyze::measure_count; ++m) {
    const auto which = static_cast<measure>(m);
    if (!options.knows(which) || (options.moment_before_ns && which != measure::held_bytes)) continue;
    const change& one = of.totals.of(which);
    rows.push_back(
        {{name_of(which, options), value_text(one.before, which), value_text(one.after, which),
          difference_text(one, which), change_share(one), one.difference() != 0 && one.is_noise() ? "noise" : ""},
         ""});
  }
  return text +
         format_table({{"", true}, {"before"}, {"after"}, {"change"}, {""}, {"", true}}, rows, paint, options.columns);
}

std::string noise_text(const difference& of, const diff_options& options) {
  const std::string rule =
      of.is_measured
          ? "Noise is a change no greater than what recordings of one side differ by (greatest less least)."
          : "Noise is a change of at most a hundredth of the function's figure or a thousandth of the whole: one "
            "recording a side does not tell how much it varies from run to run; three a side would, with commas "
            "between them.";
  return wrapped(rule, options.columns, 2);
}

}  // namespace

std::vector<std::filesystem::path> recordings_named(const std::string& word) {
  std::error_code ignored;
  if (std::filesystem::exists(word, ignored)) return {word};
  std::vector<std::filesystem::path> result;
  for (std::size_t at = 0; at <= word.size();) {
    const std::size_t comma = std::min(word.find(',', at), word.size());
    result.emplace_back(word.substr(at, comma - at));
    at = comma + 1;
  }
  return result;
}

bool diff_options::knows(measure of) const { return (gaps & needed_for(of)) == 0; }

std::string diff_text(const difference& of, const diff_options& options, bool uses_color) {
  const palette& paint = colors(uses_color);
  std::string text = compared_heading(of, options, paint);
  std::vector<table_row> rows;
  std::size_t noise = 0, left_out = 0;
  for (const changed_site& function : of.by_function) {
    const change& one = function.of(options.by);
    if (one.difference() == 0) continue;
    noise += one.is_noise();
    if (one.is_noise() && !options.shows_all) continue;
    if (rows.size() == options.top) {
      ++left_out;
      continue;
    }
    const changed_site* const site = greatest_site_of(of, function);
    rows.push_back({{difference_text(one, options.by), change_share(one), value_text(one.before, options.by),
                     value_text(one.after, options.by),
                     options.knows(measure::allocated_blocks)
                         ? difference_text(function.of(measure::allocated_blocks), measure::allocated_blocks)
                         : "",
                     one.is_noise() ? "noise" : "", shorten_function(function.frames[0], compared_name_width)},
                    site != nullptr ? callers_text(site->place(), site->frames) : ""});
  }
  text += fmt::format("\n{}What changed{}  {}, by function; below it the callers that changed most\n", paint.bold,
                      paint.reset, name_of(options.by, options));
  if (rows.empty())
    text += noise == 0 ? "  nothing\n" : "  nothing but noise\n";
  else
    text += format_table({{"change"}, {""}, {"before"}, {"after"}, {"blocks"}, {"", true}, {"function", true}}, rows,
                         paint, options.columns);
  if (left_out != 0) text += fmt::format("  and {} more functions\n", left_out);
  if (noise != 0 && !options.shows_all)
    text += fmt::format("  {} functions changed by noise alone; --all shows them\n", noise);
  return noise != 0 ? text + noise_text(of, options) : text;
}

namespace {

void write_changes(json_writer& json, const changed_site& site, const diff_options& options) {
  for (std::size_t m = 0; m < analyze::measure_count; ++m) {
    if (!options.knows(static_cast<measure>(m))) continue;
    const change& one = site.by_measure[m];
    json.begin_object(analyze::json_name(static_cast<measure>(m)));
    json.number("before", one.before);
    json.number("after", one.after);
    json.number("noise", one.noise);
    json.member("is_noise", one.is_noise());
    json.end_object();
  }
}

void write_sites(json_writer& json, const char* name, const std::vector<changed_site>& sites,
                 const diff_options& options) {
  json.begin_array(name);
  for (const changed_site& site : sites) {
    const bool is_same = std::all_of(site.by_measure.begin(), site.by_measure.end(),
                                     [](const change& one) { return one.difference() == 0; });
    if (is_same) continue;
    json.begin_object();
    json.begin_array("frames");
    for (const std::string& frame : site.frames) json.member({}, frame);
    json.end_array();
    if (!site.place_before.empty()) json.member("place_before", site.place_before);
    if (!site.place_after.empty()) json.member("place_after", site.place_after);
    write_changes(json, site, options);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

std::string diff_json(const difference& of, const diff_options& options) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.diff/1");
  if (const std::string chosen = describe(options.query.selected); !chosen.empty()) json.member("selected", chosen);
  json.member("recordings_before", static_cast<std::int64_t>(options.before.size()));
  json.member("recordings_after", static_cast<std::int64_t>(options.after.size()));
  json.member("is_exact", of.is_exact);
  json.member("noise_is_measured", of.is_measured);
  json.member("by", analyze::json_name(options.by));
  json.begin_object("totals");
  write_changes(json, of.totals, options);
  json.end_object();
  write_sites(json, "by_function", of.by_function, options);
  write_sites(json, "by_site", of.by_site, options);
  json.end_object();
  return json.text();
}

namespace {

using side = std::vector<analyze::run_figures>;

// One side of the comparison; what is told of its recordings goes into the options.
std::expected<side, std::string> read_side(const std::vector<std::filesystem::path>& paths,
                                           const std::optional<std::uint64_t>& moment_ns, diff_options& options) {
  side runs;
  for (const std::filesystem::path& path : paths) {
    recording_query query = options.query;
    query.recording = path;
    if (moment_ns) query.at_ns = moment_ns;
    auto figures = read_figures(query);
    if (!figures) return std::unexpected(figures.error());
    if (const auto why_not = missing(figures->source, needed_for(options.by), "--by " + by_name(options.by), path))
      return std::unexpected(*why_not);
    if (figures->source) {
      options.gaps |= figures->source->gaps;
      options.sources.push_back(fmt::format("{} is {}.", path.string(), source_sentence(*figures->source)));
    }
    runs.push_back(std::move(*figures));
  }
  return runs;
}

int compare_sides(const side& before, const side& after, const diff_options& options) {
  const difference compared = analyze::compare(before, after, options.by);
  const std::string text =
      options.is_json ? diff_json(compared, options) : diff_text(compared, options, options.uses_color());
  if (const int failed = write_answer(options, text); failed != 0) return failed;
  const auto is_whole = [](const analyze::run_figures& one) { return one.is_whole; };
  return std::all_of(before.begin(), before.end(), is_whole) && std::all_of(after.begin(), after.end(), is_whole) ? 0
                                                                                                                  : 1;
}

}  // namespace

int diff_command(const diff_options& given) {
  diff_options options = given;
  if (const int refused = prepare(options); refused != 0) return refused;
  // What can be refused is refused before a program is run for an hour.
  const auto before = read_side(options.before, options.moment_before_ns, options);
  if (!before) return fail(exit_usage, before.error());
  std::optional<recorded_command> recorded;
  if (options.request.is_given()) {
    if (const int refused = check_kept(options.request, options); refused != 0) return refused;
    auto made = record_command(options.request);
    if (!made) return fail(made.error());
    recorded.emplace(std::move(*made));
    options.after = {recorded->kept.path()};
  }
  const auto after = read_side(options.after, options.moment_after_ns, options);
  if (!after) return fail(recorded ? exit_internal : exit_usage, after.error());
  const int code = compare_sides(*before, *after, options);
  return recorded ? exit_code_of(*recorded, code) : code;
}

}  // namespace tenure::cli
