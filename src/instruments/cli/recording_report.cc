#include "instruments/cli/recording_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/report_text.h"

namespace tenure::cli {
namespace {

using analyze::exact_amount;
using analyze::exact_group;
using analyze::exact_process;
using analyze::exact_report;
using analyze::format_bytes;
using analyze::format_duration;

std::string size_of(std::uint64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

std::string amount_text(const exact_amount& amount) {
  return fmt::format("{} in {} blocks ({} bytes)", size_of(amount.bytes), amount.blocks, amount.bytes);
}

std::uint64_t since_start(const exact_process& process, std::uint64_t time_ns) {
  const std::uint64_t start_ns = process.profile.record.start_ns;
  return time_ns > start_ns ? time_ns - start_ns : 0;
}

std::string losses_text(const exact_process& process, const palette& paint) {
  const collect::tape_losses& lost = process.losses;
  std::string text;
  const auto line = [&](const std::string& sentence) {
    text += fmt::format("  {}not exact{}     {}\n", paint.warning, paint.reset, sentence);
  };
  if (lost.allocations != 0 || lost.frees != 0)
    line(
        fmt::format("{} allocations of {} and {} frees were lost, because their rings were full: allocated figures "
                    "are low by that much, live ones by up to that much either way",
                    lost.allocations, size_of(lost.bytes), lost.frees));
  if (lost.frames != 0) line(fmt::format("{} frames found no room: their stacks are cut off", lost.frames));
  if (lost.refused_records != 0 || lost.is_corrupt)
    line(fmt::format("{} records made no sense{}", lost.refused_records,
                     lost.is_corrupt ? ", and a ring could not be read to its end" : ""));
  if (!process.is_complete) line("the end of this process is not in the recording: what it did after that is missing");
  if (process.stray_frees != 0)
    text += fmt::format("  other frees   {}: of blocks that it had before it was recorded, or that its parent had\n",
                        process.stray_frees);
  return text;
}

// "table.cc:42 < load < main"
std::string chain_text(const exact_group& group) {
  constexpr int name_width = 32;
  std::string text;
  for (const analyze::frame& one : group.chain) {
    const bool is_first = &one == &group.chain.front();
    if (is_first && (one.file.empty() || one.line == 0)) continue;
    text += is_first ? fmt::format("{}:{}", one.file.substr(one.file.rfind('/') + 1), one.line)
                     : fmt::format("{}< {}", text.empty() ? "" : " ", shorten_function(one.function, name_width));
  }
  return text;
}

std::string small_processes(const std::vector<const exact_process*>& small, const recording_report_options& options,
                            const palette& paint) {
  constexpr std::size_t limit = 10;
  std::vector<table_row> rows;
  for (const exact_process* const process : small) {
    if (rows.size() == limit) break;
    const collect::process_record& record = process->profile.record;
    rows.push_back({{std::to_string(record.pid), size_of(process->peak.bytes), size_of(process->totals.allocated.bytes),
                     std::to_string(process->totals.allocated.blocks), command_text(record)},
                    ""});
  }
  std::string text = fmt::format("\n{}Other processes{}  less than a tenth of that at their peaks; --all shows them\n",
                                 paint.bold, paint.reset);
  text += format_table({{"pid"}, {"peak"}, {"allocated"}, {"blocks"}, {"command", true}}, rows, paint, options.columns);
  if (small.size() > rows.size()) text += fmt::format("  and {} more processes\n", small.size() - rows.size());
  return text;
}

// What was not freed by the end of what was looked at.
std::string left_head(const recording_report_options& options) {
  return options.query.selected.end_ns == analyze::no_end ? "never freed" : "left";
}

std::string owners(const exact_process& process, const recording_report_options& options, const palette& paint) {
  constexpr int name_width = 44;
  std::vector<table_row> rows;
  for (const exact_group& group : process.by_function) {
    if (rows.size() == options.top) break;
    const analyze::exact_site& site = group.totals;
    rows.push_back({{size_of(site.at_moment.bytes), std::to_string(site.at_moment.blocks),
                     size_of(site.allocated.bytes), std::to_string(site.allocated.blocks), size_of(site.at_end.bytes),
                     std::to_string(site.at_end.blocks), shorten_function(group.name, name_width)},
                    chain_text(group)});
  }
  const std::string then = options.query.at_ns ? "at " + format_duration(*options.query.at_ns) : "at the peak";
  std::string text =
      fmt::format("\n{}Who owns it{}  {}\n", paint.bold, paint.reset,
                  options.query.at_ns
                      ? then
                      : fmt::format("{}, after {}", then, format_duration(since_start(process, process.moment_ns))));
  text += format_table(
      {{then}, {"blocks"}, {"allocated"}, {"blocks"}, {left_head(options)}, {"blocks"}, {"function", true}}, rows,
      paint, options.columns);
  if (process.by_function.size() > rows.size())
    text += fmt::format("  and {} more functions\n", process.by_function.size() - rows.size());
  return text;
}

std::string process_section(const exact_process& process, const recording_report_options& options,
                            const palette& paint) {
  const collect::process_record& record = process.profile.record;
  std::string text =
      fmt::format("{}Process{}  {}\n", paint.bold, paint.reset, keep_front(command_text(record), options.columns - 9));
  text += fmt::format("  pid           {}, {} for {}\n", record.pid,
                      record.origin == wire::origin::fork ? "forked" : "started",
                      format_duration(since_start(process, record.end_ns)));
  text += fmt::format("  allocated     {}\n", amount_text(process.totals.allocated));
  text += fmt::format("  freed         {}; {} of it by another thread\n", amount_text(process.totals.freed),
                      size_of(process.totals.freed_elsewhere.bytes));
  text += fmt::format("  peak          {}, after {}\n", amount_text(process.peak),
                      format_duration(since_start(process, process.peak_time_ns)));
  text += fmt::format("  {:<12}  {}\n", left_head(options), amount_text(process.totals.at_end));
  text += losses_text(process, paint);
  if (process.events != 0) text += owners(process, options, paint);
  return text;
}

void write_amount(json_writer& json, const char* name, const exact_amount& amount) {
  json.begin_object(name);
  json.member("blocks", static_cast<std::int64_t>(amount.blocks));
  json.member("bytes", static_cast<std::int64_t>(amount.bytes));
  json.end_object();
}

void write_site(json_writer& json, const analyze::exact_site& site) {
  write_amount(json, "allocated", site.allocated);
  write_amount(json, "freed", site.freed);
  write_amount(json, "freed_by_another_thread", site.freed_elsewhere);
  write_amount(json, "at_moment", site.at_moment);
  write_amount(json, "never_freed", site.at_end);
}

void write_process(json_writer& json, const exact_process& process) {
  const collect::process_record& record = process.profile.record;
  const auto figure = [&](const char* name, std::uint64_t value) {
    json.member(name, static_cast<std::int64_t>(value));
  };
  json.begin_object();
  figure("pid", record.pid);
  figure("parent_pid", record.parent_pid);
  json.member("origin", record.origin == wire::origin::fork ? "fork" : "exec");
  json.member("command", command_text(record));
  json.member("is_complete", process.is_complete);
  figure("duration_ns", since_start(process, record.end_ns));
  figure("events", process.events);
  figure("threads", record.threads.size());
  write_site(json, process.totals);
  write_amount(json, "peak", process.peak);
  figure("peak_ns", since_start(process, process.peak_time_ns));
  figure("moment_ns", since_start(process, process.moment_ns));
  figure("stray_frees", process.stray_frees);
  json.begin_object("lost");
  figure("allocations", process.losses.allocations);
  figure("bytes", process.losses.bytes);
  figure("frees", process.losses.frees);
  figure("frames", process.losses.frames);
  figure("refused_records", process.losses.refused_records);
  json.member("is_corrupt", process.losses.is_corrupt);
  json.end_object();
  figure("waits", process.losses.waits);
  figure("wait_ns", process.losses.wait_ns);
  json.begin_array("by_function");
  for (const exact_group& group : process.by_function) {
    json.begin_object();
    json.member("name", group.name);
    figure("stacks", group.stack_count);
    write_site(json, group.totals);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

std::string notes_text(const exact_report& report, const palette& paint) {
  std::string text;
  if (report.damage)
    text += fmt::format("{}The recording is damaged:{} {}.\n", paint.warning, paint.reset, *report.damage);
  if (!report.is_complete)
    text += fmt::format(
        "{}The recording was cut off:{} `tenure record` did not come to its end. What is here is "
        "what it had written.\n",
        paint.warning, paint.reset);
  for (const std::string& note : report.run.notes)
    text += fmt::format("  {}note{}  {}\n", paint.dim, paint.reset, note);
  return text;
}

}  // namespace

std::string recording_text(const exact_report& report, const recording_report_options& options, bool uses_color) {
  const palette& paint = colors(uses_color);
  std::string text = notes_text(report, paint);
  if (const std::string chosen = describe(options.query.selected); !chosen.empty())
    text += fmt::format("{}Only{} what was {}.\n", paint.bold, paint.reset, chosen);
  if (report.processes.empty())
    text += options.query.selected.process != analyze::no_index
                ? fmt::format("The recording has no process {}.\n", options.query.selected.process)
                : "Nothing was recorded: no process told an allocation.\n";
  // The largest first; a script's many small ones follow.
  std::vector<const exact_process*> order;
  for (const exact_process& process : report.processes)
    if (!options.query.selected.chooses_blocks() || !process.sites.empty()) order.push_back(&process);
  if (order.empty() && !report.processes.empty()) text += "Nothing that was recorded is such.\n";
  std::stable_sort(order.begin(), order.end(), [](const exact_process* a, const exact_process* b) {
    return a->totals.allocated.bytes > b->totals.allocated.bytes;
  });
  std::vector<const exact_process*> small;
  for (const exact_process* const process : order) {
    if (!options.shows_all && process->peak.bytes < order.front()->peak.bytes / 10)
      small.push_back(process);
    else
      text += (text.empty() ? "" : "\n") + process_section(*process, options, paint);
  }
  if (!small.empty()) text += small_processes(small, options, paint);
  return text;
}

std::string recording_json(const exact_report& report, const recording_report_options& options) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.recording-report/1");
  if (const std::string chosen = describe(options.query.selected); !chosen.empty()) json.member("selected", chosen);
  json.member("is_complete", report.is_complete);
  if (report.damage) json.member("damage", *report.damage);
  json.begin_array("processes");
  for (const exact_process& process : report.processes) write_process(json, process);
  json.end_array();
  json.end_object();
  return json.text();
}

int report_command(const recording_report_options& given) {
  recording_report_options options = given;
  if (options.output) {
    if (const auto checked = check_output(*options.output); !checked) return fail(exit_usage, checked.error());
  } else {
    options.columns = std::max(least_report_columns, text_columns(STDOUT_FILENO, usual_report_columns));
  }
  const auto report = read_exactly(options.query);
  if (!report) return fail(exit_usage, report.error());
  const bool uses_color = !options.output && use_color(options.color, STDOUT_FILENO);
  const std::string text =
      options.is_json ? recording_json(*report, options) : recording_text(*report, options, uses_color);
  if (const int failed = write_answer(options.output, text); failed != 0) return failed;
  return report->damage || !report->is_complete ? 1 : 0;
}

}  // namespace tenure::cli
