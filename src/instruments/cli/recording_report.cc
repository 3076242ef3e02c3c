#include "instruments/cli/recording_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/memory_report.h"
#include "instruments/cli/output_file.h"
#include "instruments/cli/parser.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/report_text.h"

namespace tenure::cli {
namespace {

using analyze::exact_amount;
using analyze::exact_group;
using analyze::exact_process;
using analyze::exact_report;
using analyze::format_duration;

std::uint64_t since_start(const exact_process& process, std::uint64_t time_ns) {
  return since_start_of(process.profile.record, time_ns);
}

bool knows(const exact_report& report, collect::source_gap what) {
  return !report.source || report.source->knows(what);
}

std::string amount_text(const exact_amount& amount) {
  return fmt::format("{} in {} blocks ({} bytes)", size_of(amount.bytes), amount.blocks, amount.bytes);
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

std::string owners(const exact_process& process, const exact_report& report, const recording_report_options& options,
                   const palette& paint) {
  constexpr int name_width = 44;
  const bool knows_times = knows(report, collect::gap_times), knows_allocated = knows(report, collect::gap_allocated);
  std::vector<table_row> rows;
  for (const exact_group& group : process.by_function) {
    if (rows.size() == options.top) break;
    const analyze::exact_site& site = group.totals;
    table_row row;
    const auto add = [&](const exact_amount& amount) {
      row.cells.push_back(size_of(amount.bytes));
      row.cells.push_back(std::to_string(amount.blocks));
    };
    add(site.at_moment);
    if (knows_allocated) add(site.allocated);
    if (knows_times) add(site.at_end);
    row.cells.push_back(shorten_function(group.name, name_width));
    row.note = chain_text(group.chain);
    rows.push_back(std::move(row));
  }
  const std::string then = !knows_times          ? "in use"
                           : options.query.at_ns ? "at " + format_duration(*options.query.at_ns)
                                                 : "at the peak";
  std::string text =
      fmt::format("\n{}Who owns it{}  {}\n", paint.bold, paint.reset,
                  options.query.at_ns || !knows_times
                      ? then
                      : fmt::format("{}, after {}", then, format_duration(since_start(process, process.moment_ns))));
  std::vector<table_column> columns = {{then}, {"blocks"}};
  if (knows_allocated) columns.insert(columns.end(), {{"allocated"}, {"blocks"}});
  if (knows_times) columns.insert(columns.end(), {{left_head(options)}, {"blocks"}});
  columns.push_back({"function", true});
  text += format_table(columns, rows, paint, options.columns);
  if (process.by_function.size() > rows.size())
    text += fmt::format("  and {} more functions\n", process.by_function.size() - rows.size());
  return text;
}

// Where stacks of frees were recorded: one row a function, who freed most of what it had allocated.
std::string who_frees_it(const exact_process& process, const recording_report_options& options, const palette& paint) {
  constexpr int name_width = 40;
  std::vector<const exact_group*> order;
  for (const exact_group& group : process.by_function)
    if (!group.freed_by.empty()) order.push_back(&group);
  if (order.empty()) return "";
  std::stable_sort(order.begin(), order.end(), [](const exact_group* a, const exact_group* b) {
    return a->totals.freed.bytes > b->totals.freed.bytes;
  });
  if (order.size() > options.top) order.resize(options.top);
  std::vector<table_row> rows;
  for (const exact_group* const group : order) {
    const analyze::exact_freer& most = group->freed_by.front();
    const double freed = static_cast<double>(std::max<std::uint64_t>(group->totals.freed.bytes, 1));
    rows.push_back({{size_of(group->totals.freed.bytes), std::to_string(group->totals.freed.blocks),
                     shorten_function(group->name, name_width),
                     analyze::format_share(static_cast<double>(most.amount.bytes) / freed),
                     shorten_function(most.name, name_width)},
                    chain_text(most.chain)});
  }
  return fmt::format("\n{}Who frees it{}  the function that freed most of each, and how much of it\n", paint.bold,
                     paint.reset) +
         format_table({{"freed"}, {"blocks"}, {"allocated in", true}, {"share"}, {"freed in", true}}, rows, paint,
                      options.columns);
}

// Of an imported recording that is of one moment.
std::string sums_section(const exact_process& process, const exact_report& report,
                         const recording_report_options& options, const palette& paint) {
  std::string text;
  if (knows(report, collect::gap_allocated))
    text += fmt::format("  allocated     {}\n", amount_text(process.totals.allocated));
  text += fmt::format("  in use        {}\n", amount_text(process.totals.at_end));
  return text + owners(process, report, options, paint);
}

std::string process_section(const exact_process& process, const exact_report& report,
                            const recording_report_options& options, const palette& paint) {
  const collect::process_record& record = process.profile.record;
  std::string text =
      fmt::format("{}Process{}  {}\n", paint.bold, paint.reset, keep_front(command_text(record), options.columns - 9));
  if (!knows(report, collect::gap_times)) return text + sums_section(process, report, options, paint);
  text += fmt::format("  pid           {}, {} for {}\n", pid_text(record), origin_text(record.origin),
                      format_duration(since_start(process, record.end_ns)));
  if (process.before) {
    text += fmt::format("  begins        after {}: what came before was dropped, {} allocations of {} among it\n",
                        format_duration(since_start(process, process.before->last_ns)), process.before->allocations,
                        size_of(process.before->allocated_bytes));
    text += fmt::format("  held then     {}\n", amount_text(process.totals.at_begin));
    if (process.moment_ns < process.before->last_ns)
      text += fmt::format(
          "  {}too early{}     the moment asked for is not in the recording: what is shown of it is "
          "where this begins\n",
          paint.warning, paint.reset);
  }
  text += fmt::format("  allocated     {}\n", amount_text(process.totals.allocated));
  text += fmt::format("  freed         {}", amount_text(process.totals.freed));
  if (knows(report, collect::gap_threads))
    text += fmt::format("; {} of it by another thread", size_of(process.totals.freed_elsewhere.bytes));
  text += "\n";
  text += fmt::format("  peak          {}, after {}\n", amount_text(process.peak),
                      format_duration(since_start(process, process.peak_time_ns)));
  text += fmt::format("  {:<12}  {}\n", left_head(options), amount_text(process.totals.at_end));
  text += losses_text(process.profile.record, process.losses, process.is_complete, process.stray_frees, paint);
  analyze::selection beside_window = options.query.selected;
  beside_window.begin_ns = 0;
  beside_window.end_ns = analyze::no_end;
  if (process.memory && !beside_window.chooses_blocks())
    text += memory_text(*process.memory, record.start_ns, paint, options.columns);
  if (process.events != 0 || !process.sites.empty()) text += owners(process, report, options, paint);
  return text + who_frees_it(process, options, paint);
}

void write_site(json_writer& json, const exact_report& report, const analyze::exact_site& site) {
  const bool knows_times = knows(report, collect::gap_times);
  if (knows_times) write_amount(json, "held_at_begin", site.at_begin);
  if (knows(report, collect::gap_allocated)) write_amount(json, "allocated", site.allocated);
  if (knows_times) write_amount(json, "freed", site.freed);
  if (knows(report, collect::gap_threads)) write_amount(json, "freed_by_another_thread", site.freed_elsewhere);
  write_amount(json, "at_moment", site.at_moment);
  if (knows_times) write_amount(json, "never_freed", site.at_end);
}

void write_process(json_writer& json, const exact_report& report, const exact_process& process) {
  const collect::process_record& record = process.profile.record;
  const auto figure = [&](const char* name, std::uint64_t value) {
    json.member(name, static_cast<std::int64_t>(value));
  };
  json.begin_object();
  figure("pid", record.pid);
  figure("parent_pid", record.parent_pid);
  json.member("origin", std::string(origin_code(record.origin)));
  json.member("command", command_text(record));
  json.member("is_complete", process.is_complete);
  const bool knows_times = knows(report, collect::gap_times);
  if (knows_times) figure("duration_ns", since_start(process, record.end_ns));
  figure("events", process.events);
  if (knows(report, collect::gap_threads)) figure("threads", record.threads.size());
  write_site(json, report, process.totals);
  if (knows_times) {
    write_amount(json, "peak", process.peak);
    figure("peak_ns", since_start(process, process.peak_time_ns));
    figure("moment_ns", since_start(process, process.moment_ns));
  }
  figure("stray_frees", process.stray_frees);
  if (process.before) {
    json.begin_object("dropped");
    figure("until_ns", since_start(process, process.before->last_ns));
    figure("events", process.before->events);
    figure("allocations", process.before->allocations);
    figure("allocated_bytes", process.before->allocated_bytes);
    json.end_object();
  }
  if (!report.source) write_memory(json, process.memory, record.start_ns);
  write_losses(json, process.profile.record, process.losses);
  figure("waits", process.losses.waits);
  figure("wait_ns", process.losses.wait_ns);
  json.begin_array("by_function");
  for (const exact_group& group : process.by_function) {
    json.begin_object();
    json.member("name", group.name);
    figure("stacks", group.stack_count);
    write_site(json, report, group.totals);
    if (!process.frees.empty()) {
      json.begin_array("freed_by");
      for (const analyze::exact_freer& one : group.freed_by) {
        json.begin_object();
        json.member("name", one.name);
        write_amount(json, "freed", one.amount);
        json.end_object();
      }
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

}  // namespace

std::string recording_text(const exact_report& report, const recording_report_options& options, bool uses_color) {
  const palette& paint = colors(uses_color);
  std::string text = source_text(report.source, options.columns, paint);
  text += notes_text(report.damage, report.is_complete, report.run.notes, paint);
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
      text += (text.empty() ? "" : "\n") + process_section(*process, report, options, paint);
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
  write_source(json, report.source);
  if (report.rotated) {
    json.begin_object("rotated");
    json.member("from_ns", static_cast<std::int64_t>(report.rotated->time_ns -
                                                     std::min(report.rotated->time_ns, report.run.start_ns)));
    json.member("cuts", static_cast<std::int64_t>(report.rotated->count));
    json.member("dropped_processes", static_cast<std::int64_t>(report.dropped_processes));
    json.end_object();
  }
  json.begin_array("processes");
  for (const exact_process& process : report.processes) write_process(json, report, process);
  json.end_array();
  json.end_object();
  return json.text();
}

int report_command(const recording_report_options& given) {
  recording_report_options options = given;
  if (const int refused = prepare(options); refused != 0) return refused;
  const auto report = read_exactly(options.query);
  if (!report) return fail(exit_usage, report.error());
  const bool uses_color = options.uses_color();
  const std::string text =
      options.is_json ? recording_json(*report, options) : recording_text(*report, options, uses_color);
  if (const int failed = write_answer(options.output, text); failed != 0) return failed;
  return report->damage || !report->is_complete ? 1 : 0;
}

}  // namespace tenure::cli
