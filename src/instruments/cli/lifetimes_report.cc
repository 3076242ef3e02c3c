#include "instruments/cli/lifetimes_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "instruments/analyze/format.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {
namespace {

using analyze::age_histogram;
using analyze::exact_amount;
using analyze::format_bytes;
using analyze::format_duration;
using analyze::format_share;
using analyze::life_group;
using analyze::life_process;
using analyze::life_report;
using analyze::life_totals;

constexpr int name_width = 40;
constexpr int freed_name_width = 30;

// The ages at which the small curves are drawn: a decade apart.
constexpr std::array<std::uint64_t, 9> drawn_ns = {
    1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000, 10'000'000'000, 100'000'000'000};

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// "█▇▅▂_": what is alive after each of the ages; "_" for nothing, "·" where nobody has become so old.
std::string small_curve(const age_histogram& ages, const std::vector<age_histogram::point>& curve) {
  static constexpr std::array bars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  for (const std::uint64_t age_ns : drawn_ns) {
    const auto alive = alive_after(ages, curve, age_ns);
    if (!alive)
      text += "·";
    else if (*alive < 0.0005)
      text += "_";
    else
      text += bars[std::min<std::size_t>(bars.size() - 1, static_cast<std::size_t>(*alive * bars.size()))];
  }
  return text;
}

std::string age_text(const std::optional<std::uint64_t>& age_ns) { return age_ns ? format_duration(*age_ns) : "-"; }

std::string bytes_age_text(const std::optional<std::uint64_t>& age) {
  return age ? format_bytes(static_cast<double>(*age)) : "-";
}

std::vector<std::string> life_cells(const life_totals& totals) {
  const auto by_time = totals.by_time.curve(), by_bytes = totals.by_bytes.curve();
  return {size_of(totals.allocated.bytes),
          std::to_string(totals.allocated.blocks),
          format_share(share_of(totals.short_lived.bytes, totals.allocated.bytes)),
          age_text(age_when_gone(by_time, 0.5)),
          age_text(age_when_gone(by_time, 0.9)),
          bytes_age_text(age_when_gone(by_bytes, 0.5)),
          size_of(totals.left.bytes)};
}

std::string lives(const life_process& process, const lifetimes_options& options, const palette& paint) {
  std::vector<table_row> rows;
  const auto add = [&](const life_totals& totals, const std::string& name, const std::string& note) {
    std::vector<std::string> cells = life_cells(totals);
    cells.push_back(name);
    rows.push_back({std::move(cells), small_curve(totals.by_time, totals.by_time.curve()) + "  " + note});
  };
  add(process.totals, "all together", "");
  for (const life_group& group : process.by_function) {
    if (rows.size() > options.top) break;
    add(group.totals, shorten_function(group.name, name_width), chain_text(group.chain));
  }
  std::string text = section_heading(paint, "How long it lives",
                                     "by bytes; half, nine tenths gone after a time, half after so "
                                     "many bytes allocated");
  text +=
      format_table({{"allocated"}, {"blocks"}, {"short"}, {"half"}, {"9/10"}, {"half"}, {"left"}, {"function", true}},
                   rows, paint, options.columns);
  if (process.by_function.size() + 1 > rows.size())
    text += fmt::format("  and {} more functions\n", process.by_function.size() + 1 - rows.size());
  text += wrapped(
      fmt::format(
          "Short: the share that was freed before the process had allocated a {}th of what was live when it went; in "
          "an "
          "arena or pool emptied that often, those blocks would cost at most a {}th of the heap. Left: not freed. "
          "The nine bars are what is alive after 1 us, 10 us, 100 us, ... 100 s: _ nothing, · nothing became "
          "so old. What is left counts as censored (Kaplan and Meier); - was not reached.",
          analyze::short_lived_divisor, analyze::short_lived_divisor),
      options.columns, 2);
  return text;
}

std::string who_frees(const life_process& process, const lifetimes_options& options, const palette& paint) {
  if (process.hand_overs.empty()) return "";
  std::vector<table_row> rows;
  for (const analyze::hand_over& one : process.hand_overs) {
    if (rows.size() == options.top) break;
    rows.push_back({{size_of(one.amount.bytes), std::to_string(one.amount.blocks),
                     format_share(share_of(one.amount.bytes, process.totals.freed.bytes)), one.from,
                     one.is_same_thread   ? "the same thread"
                     : one.from == one.to ? "another thread of this name"
                                          : one.to},
                    ""});
  }
  std::string text = section_heading(paint, "Who frees it", "threads by name");
  text += format_table({{"freed"}, {"blocks"}, {"share"}, {"allocated by", true}, {"freed by", true}}, rows, paint,
                       options.columns);
  if (process.hand_overs.size() > rows.size())
    text += fmt::format("  and {} more pairs\n", process.hand_overs.size() - rows.size());
  const bool has_elsewhere = process.totals.freed_elsewhere.blocks != 0;
  if (!has_elsewhere) return text;
  std::vector<const life_group*> groups;
  for (const life_group& group : process.by_function)
    if (group.totals.freed_elsewhere.blocks != 0) groups.push_back(&group);
  std::stable_sort(groups.begin(), groups.end(),
                   [](auto* a, auto* b) { return a->totals.freed_elsewhere.bytes > b->totals.freed_elsewhere.bytes; });
  rows.clear();
  for (const life_group* const group : groups) {
    if (rows.size() == options.top) break;
    const exact_amount& elsewhere = group->totals.freed_elsewhere;
    rows.push_back({{size_of(elsewhere.bytes), std::to_string(elsewhere.blocks),
                     format_share(share_of(elsewhere.bytes, group->totals.freed.bytes)),
                     shorten_function(group->name, name_width)},
                    ""});
  }
  text += section_heading(paint, "Freed by another thread", "than allocated it, and its share of what was freed");
  text += format_table({{"freed"}, {"blocks"}, {"share"}, {"function", true}}, rows, paint, options.columns);
  if (groups.size() > rows.size()) text += fmt::format("  and {} more functions\n", groups.size() - rows.size());
  return text;
}

std::string where_freed(const life_process& process, const lifetimes_options& options, const palette& paint) {
  if (!process.knows_free_stacks) return "";
  std::vector<table_row> rows;
  for (const analyze::free_site& one : process.free_sites) {
    if (rows.size() == options.top) break;
    rows.push_back(
        {{size_of(one.amount.bytes), std::to_string(one.amount.blocks),
          format_share(share_of(one.amount.bytes, process.totals.freed.bytes)), one.is_same_thread ? "same" : "other",
          shorten_function(one.allocated_in, freed_name_width), shorten_function(one.freed_in, freed_name_width)},
         chain_text(one.chain)});
  }
  std::string text =
      section_heading(paint, "Where it is freed", "by the function that allocated it and the one that freed it");
  text += format_table({{"freed"}, {"blocks"}, {"share"}, {"thread", true}, {"allocated in", true}, {"freed in", true}},
                       rows, paint, options.columns);
  if (process.free_sites.size() > rows.size())
    text += fmt::format("  and {} more pairs\n", process.free_sites.size() - rows.size());
  return text;
}

std::uint64_t rounding_of(const life_totals& totals) {
  return totals.usable_bytes - std::min(totals.usable_bytes, totals.allocated.bytes);
}

// Where size classes cost something, and the heap told which it has.
std::string sizes(const life_process& process, const lifetimes_options& options, const palette& paint) {
  if (rounding_of(process.totals) == 0) return "";
  std::vector<const life_group*> groups;
  for (const life_group& group : process.by_function)
    if (rounding_of(group.totals) != 0) groups.push_back(&group);
  std::stable_sort(groups.begin(), groups.end(),
                   [](auto* a, auto* b) { return rounding_of(a->totals) > rounding_of(b->totals); });
  std::vector<table_row> rows;
  const auto add = [&](const life_totals& totals, const std::string& name, const std::string& note) {
    rows.push_back({{size_of(rounding_of(totals)), format_share(share_of(rounding_of(totals), totals.usable_bytes)),
                     std::to_string(totals.allocated.blocks),
                     size_of(totals.allocated.bytes / std::max<std::uint64_t>(totals.allocated.blocks, 1)),
                     size_of(totals.usable_bytes / std::max<std::uint64_t>(totals.allocated.blocks, 1)), name},
                    note});
  };
  add(process.totals, "all together", "");
  for (const life_group* const group : groups) {
    if (rows.size() > options.top) break;
    add(group->totals, shorten_function(group->name, name_width), chain_text(group->chain));
  }
  std::string text =
      section_heading(paint, "What sizes cost", "by which size classes and pages round up what is asked for");
  text += format_table({{"rounding"}, {"share"}, {"blocks"}, {"asked"}, {"got"}, {"function", true}}, rows, paint,
                       options.columns);
  if (groups.size() + 1 > rows.size())
    text += fmt::format("  and {} more functions\n", groups.size() + 1 - rows.size());
  return text;
}

std::string reallocs(const life_process& process, const lifetimes_options& options, const palette& paint) {
  const analyze::realloc_figures& all = process.totals.reallocs;
  if (all.calls == 0) return "";
  std::vector<const life_group*> groups;
  for (const life_group& group : process.by_function)
    if (group.totals.reallocs.calls != 0) groups.push_back(&group);
  std::stable_sort(groups.begin(), groups.end(), [](auto* a, auto* b) {
    const analyze::realloc_figures &left = a->totals.reallocs, &right = b->totals.reallocs;
    return left.moved_bytes != right.moved_bytes ? left.moved_bytes > right.moved_bytes : left.calls > right.calls;
  });
  std::vector<table_row> rows;
  const auto add = [&](const analyze::realloc_figures& of, const std::string& name, const std::string& note) {
    rows.push_back({{size_of(of.moved_bytes), std::to_string(of.moved), std::to_string(of.in_place),
                     std::to_string(of.shrinks), std::to_string(of.chains), std::to_string(of.longest), name},
                    note});
  };
  add(all, "all together", "");
  for (const life_group* const group : groups) {
    if (rows.size() > options.top) break;
    add(group->totals.reallocs, shorten_function(group->name, name_width), chain_text(group->chain));
  }
  std::string text = section_heading(paint, "What realloc costs",
                                     "bytes that a block took along to a new place: allocated anew and copied");
  text += format_table(
      {{"taken along"}, {"moved"}, {"in place"}, {"to less"}, {"blocks"}, {"most times"}, {"function", true}}, rows,
      paint, options.columns);
  if (groups.size() + 1 > rows.size())
    text += fmt::format("  and {} more functions\n", groups.size() + 1 - rows.size());
  if (all.uncertain != 0)
    text += wrapped(fmt::format("Of {} more it cannot be told which of two blocks they continued: the program freed "
                                "another just before or after.",
                                all.uncertain),
                    options.columns, 2);
  if (all.unmatched != 0)
    text += wrapped(fmt::format("{} more were of blocks whose allocation is not in the recording.", all.unmatched),
                    options.columns, 2);
  return text;
}

std::string process_section(const life_process& process, const lifetimes_options& options, const palette& paint) {
  const collect::process_record& record = process.walked.profile.record;
  const life_totals& totals = process.totals;
  const auto line = [](const char* head, const exact_amount& amount, const std::string& more) {
    return fmt::format("  {:<12}  {} in {} blocks{}\n", head, size_of(amount.bytes), amount.blocks, more);
  };
  const auto share = [&](const exact_amount& of, const exact_amount& whole) {
    return fmt::format(", {} of the bytes and {} of the blocks", format_share(share_of(of.bytes, whole.bytes)),
                       format_share(share_of(of.blocks, whole.blocks)));
  };
  std::string text =
      fmt::format("{}Process{}  {}\n", paint.bold, paint.reset, keep_front(command_text(record), options.columns - 9));
  text += fmt::format("  pid           {}, {} for {}\n", record.pid, origin_text(record.origin),
                      format_duration(since_start_of(record, record.end_ns)));
  text += line("allocated", totals.allocated, "");
  text += line("short-lived", totals.short_lived, share(totals.short_lived, totals.allocated));
  text += line(
      "other thread", totals.freed_elsewhere,
      fmt::format(", {} of the bytes freed", format_share(share_of(totals.freed_elsewhere.bytes, totals.freed.bytes))));
  text += line(options.query.selected.end_ns == analyze::no_end ? "never freed" : "left", totals.left, "");
  text += losses_text(process.walked.profile.record, process.walked.losses, process.walked.is_complete,
                      process.walked.stray_frees, paint);
  if (totals.allocated.blocks == 0) return text;
  return text + lives(process, options, paint) + who_frees(process, options, paint) +
         where_freed(process, options, paint) + sizes(process, options, paint) + reallocs(process, options, paint);
}

void write_ages(json_writer& json, const char* name, const age_histogram& ages) {
  static constexpr std::array<std::pair<const char*, double>, 4> fractions = {
      {{"quartile", 0.25}, {"median", 0.5}, {"third_quartile", 0.75}, {"ninth_decile", 0.9}}};
  const auto curve = ages.curve();
  json.begin_object(name);
  for (const auto& [member, fraction] : fractions) {
    const auto age = age_when_gone(curve, fraction);
    if (age)
      json.member(member, static_cast<std::int64_t>(*age));
    else
      json.null(member);
  }
  json.begin_array("curve");
  for (const age_histogram::point& one : curve) {
    json.begin_object();
    json.member("age", static_cast<std::int64_t>(one.age));
    json.number("alive", one.alive);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_totals(json_writer& json, const life_totals& totals, bool knows_size_classes) {
  write_amount(json, "allocated", totals.allocated);
  if (knows_size_classes) json.member("usable_bytes", static_cast<std::int64_t>(totals.usable_bytes));
  write_amount(json, "freed", totals.freed);
  write_amount(json, "freed_by_another_thread", totals.freed_elsewhere);
  write_amount(json, "short_lived", totals.short_lived);
  write_amount(json, "never_freed", totals.left);
  write_ages(json, "age_ns", totals.by_time);
  write_ages(json, "age_bytes", totals.by_bytes);
  const analyze::realloc_figures& of = totals.reallocs;
  json.begin_object("realloc");
  for (const auto& [name, value] : {std::pair{"calls", of.calls},
                                    {"in_place", of.in_place},
                                    {"moved", of.moved},
                                    {"uncertain", of.uncertain},
                                    {"unmatched", of.unmatched},
                                    {"shrinks", of.shrinks},
                                    {"moved_bytes", of.moved_bytes},
                                    {"blocks", of.chains},
                                    {"most_resizes", of.longest}})
    json.member(name, static_cast<std::int64_t>(value));
  json.end_object();
}

void write_free_sites(json_writer& json, const std::vector<analyze::free_site>& sites) {
  json.begin_array("by_free_site");
  for (const analyze::free_site& one : sites) {
    json.begin_object();
    json.member("allocated_in", one.allocated_in);
    json.member("freed_in", one.freed_in);
    json.member("is_same_thread", one.is_same_thread);
    write_amount(json, "freed", one.amount);
    if (!one.chain.empty()) write_stack(json, one.chain);
    json.end_object();
  }
  json.end_array();
}

void write_process(json_writer& json, const life_process& process) {
  const collect::process_record& record = process.walked.profile.record;
  json.begin_object();
  json.member("pid", static_cast<std::int64_t>(record.pid));
  json.member("command", command_text(record));
  json.member("is_complete", process.walked.is_complete);
  json.member("duration_ns", static_cast<std::int64_t>(since_start_of(record, record.end_ns)));
  json.member("stray_frees", static_cast<std::int64_t>(process.walked.stray_frees));
  write_losses(json, process.walked.profile.record, process.walked.losses);
  write_totals(json, process.totals, process.knows_size_classes);
  json.begin_array("by_function");
  for (const life_group& group : process.by_function) {
    json.begin_object();
    json.member("name", group.name);
    json.member("stacks", static_cast<std::int64_t>(group.stack_count));
    write_totals(json, group.totals, process.knows_size_classes);
    json.end_object();
  }
  json.end_array();
  json.begin_array("by_threads");
  for (const analyze::hand_over& one : process.hand_overs) {
    json.begin_object();
    json.member("allocated_by", one.from);
    json.member("freed_by", one.to);
    json.member("is_same_thread", one.is_same_thread);
    write_amount(json, "freed", one.amount);
    json.end_object();
  }
  json.end_array();
  if (process.knows_free_stacks) write_free_sites(json, process.free_sites);
  json.end_object();
}

}  // namespace

std::string lifetimes_text(const life_report& report, const lifetimes_options& options, bool uses_color) {
  const palette& paint = colors(uses_color);
  std::string text = source_text(report.whole.source, options.columns, paint);
  text += notes_text(report.whole.damage, report.whole.is_complete, report.whole.run.notes, paint);
  if (const std::string chosen = describe(options.query.selected); !chosen.empty())
    text += fmt::format("{}Only{} what was {}.\n", paint.bold, paint.reset, chosen);
  if (report.processes.empty())
    text += options.query.selected.process != analyze::no_index
                ? fmt::format("The recording has no process {}.\n", options.query.selected.process)
                : "Nothing was recorded: no process told an allocation.\n";
  std::vector<const life_process*> order;
  for (const life_process& process : report.processes)
    if (!options.query.selected.chooses_blocks() || process.totals.allocated.blocks != 0) order.push_back(&process);
  if (order.empty() && !report.processes.empty()) text += "Nothing that was recorded is such.\n";
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->totals.allocated.bytes > b->totals.allocated.bytes; });
  std::size_t left_out = 0;
  for (const life_process* const process : order) {
    const bool is_small = process->totals.allocated.bytes < order.front()->totals.allocated.bytes / 10;
    if (is_small && !options.shows_all)
      ++left_out;
    else
      text += (text.empty() ? "" : "\n") + process_section(*process, options, paint);
  }
  if (left_out != 0)
    text += fmt::format("\n{} other processes allocated less than a tenth of that; --all shows them.\n", left_out);
  return text;
}

std::string lifetimes_json(const life_report& report, const lifetimes_options& options) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.lifetimes/1");
  if (const std::string chosen = describe(options.query.selected); !chosen.empty()) json.member("selected", chosen);
  json.member("is_complete", report.whole.is_complete);
  if (report.whole.damage) json.member("damage", *report.whole.damage);
  json.begin_array("processes");
  for (const life_process& process : report.processes) write_process(json, process);
  json.end_array();
  json.end_object();
  return json.text();
}

namespace {

// Of a recording that is there.
int answer(const lifetimes_options& options) {
  auto reader = collect::recording_reader::open(options.query.recording);
  if (!reader) return fail(exit_usage, reader.error());
  life_report report;
  {
    progress_line progress("reading");
    symbols::symbolizer symbolizer(symbol_options(options.query.uses_debuginfod, progress));
    report = analyze::analyze_lifetimes(*reader, symbolizer,
                                        {.selected = options.query.selected, .progress = progress.function()});
  }
  const auto& source = report.whole.source;
  if (const auto why_not = unanswerable(source, options.query)) return fail(exit_usage, *why_not);
  if (const auto why_not =
          missing(source, collect::gap_lives, "how long blocks lived", options.query.recording.string()))
    return fail(exit_usage, *why_not);
  const std::string text =
      options.is_json ? lifetimes_json(report, options) : lifetimes_text(report, options, options.uses_color());
  if (const int failed = write_answer(options, text); failed != 0) return failed;
  return report.whole.damage || !report.whole.is_complete ? 1 : 0;
}

}  // namespace

int lifetimes_command(const lifetimes_options& given) {
  lifetimes_options options = given;
  if (const int refused = prepare(options); refused != 0) return refused;
  if (!options.request.is_given()) return answer(options);
  if (const int refused = check_kept(options.request, options); refused != 0) return refused;
  const auto recorded = record_command(options.request);
  if (!recorded) return fail(recorded.error());
  options.query.recording = recorded->kept.path();
  return exit_code_of(*recorded, answer(options));
}

}  // namespace tenure::cli
