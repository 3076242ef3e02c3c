#include "instruments/cli/leaks_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "instruments/analyze/format.h"
#include "instruments/cli/holders_report.h"
#include "instruments/cli/imported_source.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/scan_refusal.h"

namespace tenure::cli {
namespace {

using analyze::exact_amount;
using analyze::format_duration;
using analyze::leak_kind;
using analyze::leak_kind_count;
using analyze::leak_process;
using analyze::leak_report;
using analyze::leak_site;

struct kind_text {
  const char* name;
  const char* title;
  const char* meaning;
};
constexpr std::array<kind_text, leak_kind_count> kinds = {{
    {"definite", "Definite", "nothing leads to them"},
    {"possible", "Possible", "only pointers into their inside lead to them"},
    {"indirect", "Indirect", "only definite ones lead to them"},
    {"never_freed", "Never freed", "alive at the end"},
}};
const kind_text& text_of(leak_kind kind) { return kinds[static_cast<std::size_t>(kind)]; }

std::string site_text(const leak_process& process, const leak_site& site, const leaks_view& view,
                      const palette& paint) {
  const collect::process_record& record = process.profile.record;
  std::string text = fmt::format("  {}{}{}", paint.bold, blocks_text(site.leaked), paint.reset);
  if (site.held.blocks != 0) text += fmt::format(", and {} that they hold", blocks_text(site.held));
  if (!process.is_recorded && site.sampled.samples != 0)
    text += fmt::format("; they stand for {}", analyze::format_with_error(site.sampled.bytes));
  if (site.first_ns != 0) {
    const std::string first = format_duration(since_start_of(record, site.first_ns));
    const std::string last = format_duration(since_start_of(record, site.last_ns));
    text += first == last ? fmt::format("; after {}", first) : fmt::format("; from {} to {}", first, last);
  }
  text += "\n";
  if (site.chain.empty()) {
    text += site.stack != analyze::no_index ? "      [no names]\n"
            : process.is_recorded           ? "      [no stack was recorded]\n"
                                            : "      [not sampled: no stack is known]\n";
  }
  for (const analyze::frame& one : site.chain) text += stack_line(one, view.columns);
  return text;
}

std::string scan_text(const leak_process& process, const wire::leak_scan_header& scan, const palette& paint) {
  const auto& reachable = scan.sums[static_cast<std::size_t>(wire::block_reach::reachable)];
  std::string text = fmt::format("  reachable    {}\n", blocks_text({reachable.blocks, reachable.bytes}));
  for (const leak_kind kind : {leak_kind::definite, leak_kind::indirect, leak_kind::possible}) {
    const exact_amount& total = process.totals[static_cast<std::size_t>(kind)];
    const bool is_bad = kind == leak_kind::definite && total.blocks != 0;
    text += fmt::format("  {}{:<12}{} {}\n", is_bad ? paint.bad : "", text_of(kind).name, is_bad ? paint.reset : "",
                        blocks_text(total));
  }
  if (process.suppressed.blocks != 0) text += fmt::format("  suppressed   {}\n", blocks_text(process.suppressed));
  text += fmt::format(
      "  {}held up for {}: {} for its locks, {} until {} thread{} stood still, {} to copy it; looked "
      "through {} of roots in {}{}\n",
      paint.dim, format_duration(scan.pause_ns), format_duration(scan.lock_ns), format_duration(scan.stop_ns),
      scan.threads, scan.threads == 1 ? "" : "s", format_duration(scan.copy_ns), size_of(scan.root_bytes),
      format_duration(scan.scan_ns), paint.reset);
  if (scan.unstopped != 0)
    text += fmt::format(
        "  {}{} threads did not stand still in time: what only their registers hold counts as "
        "leaked{}\n",
        paint.warning, scan.unstopped, paint.reset);
  if (scan.unread_lists != 0)
    text += fmt::format("  {}{} lists of free blocks could not be read: those blocks count as live{}\n", paint.warning,
                        scan.unread_lists, paint.reset);
  if (scan.left_out_records != 0)
    text += fmt::format("  {}{} leaked blocks are not told one by one{}\n", paint.warning, scan.left_out_records,
                        paint.reset);
  return text;
}

std::string without_stack_text(const leak_process& process, const leaks_view& view) {
  if (process.without_stack.blocks == 0) return "";
  return wrapped(fmt::format("Of {} no stack is known: {}", blocks_text(process.without_stack),
                             process.is_recorded
                                 ? "they were allocated before the recording began, by a parent before it forked, or "
                                   "their events were lost."
                                 : "only sampled blocks have one. `tenure leaks -- CMD` records all."),
                 view.columns, 2);
}

std::string suspect_text(const analyze::growing_site& site, const leaks_view& view, const palette& paint) {
  const auto bytes = [](double value) { return analyze::format_bytes(std::max(value, 0.0)); };
  std::string text = fmt::format(
      "  {}{} stay of each MiB allocated{} ({} to {}, 99%), {} a second; {} of {} blocks were freed\n"
      "  {} live in {} blocks{}\n",
      paint.bold, bytes(site.bytes_per_mib.value), paint.reset, bytes(site.bytes_per_mib.low),
      bytes(site.bytes_per_mib.high), bytes(site.bytes_per_second), analyze::format_share(site.freed_share()),
      site.allocated_blocks, size_of(site.live_bytes), site.live_blocks,
      // An imported recording may not tell which block lives.
      site.oldest_ns == 0 ? ""
                          : fmt::format(", aged {} on average, the oldest {}", format_duration(site.mean_age_ns),
                                        format_duration(site.oldest_ns)));
  for (const analyze::frame& one : site.chain) text += stack_line(one, view.columns);
  return text;
}

std::string suspects_text(const leak_process& process, const leaks_view& view, const palette& paint) {
  if (process.suspects.empty()) return "";
  std::string text =
      fmt::format("\n{}Suspected{}  live bytes grow to the end and do not level off; {} functions were judged\n",
                  paint.bold, paint.reset, process.judged_functions);
  for (std::size_t i = 0; i < process.suspects.size() && i < view.top; ++i)
    text += suspect_text(process.suspects[i], view, paint);
  if (process.suspects.size() > view.top)
    text += fmt::format("  and {} more functions\n", process.suspects.size() - view.top);
  return text;
}

std::string sites_text(const leak_process& process, const leaks_view& view, const palette& paint) {
  std::string text;
  for (std::size_t kind = 0; kind < leak_kind_count; ++kind) {
    if (static_cast<leak_kind>(kind) == leak_kind::indirect && !view.shows_all) continue;
    std::size_t shown = 0;
    std::size_t left_out = 0;
    for (const leak_site& site : process.sites) {
      if (site.kind != static_cast<leak_kind>(kind)) continue;
      if (shown == view.top) {
        ++left_out;
        continue;
      }
      if (shown++ == 0)
        text += fmt::format("\n{}{}{}  {}\n", paint.bold, kinds[kind].title, paint.reset, kinds[kind].meaning);
      text += site_text(process, site, view, paint);
    }
    if (left_out != 0) text += fmt::format("  and {} more stacks\n", left_out);
  }
  return text;
}

bool has_sites(const leak_process& process) { return !process.sites.empty() || !process.held.empty(); }

bool is_worth_showing(const leak_process& process, const leaks_view& view) {
  return view.shows_all || has_sites(process) || (process.scan && process.scan->refusal != 0);
}

std::string process_text(const leak_process& process, const leaks_view& view, const palette& paint) {
  const collect::process_record& record = process.profile.record;
  std::string text =
      fmt::format("\n{}{}{}  pid {}{}\n", paint.bold, command_text(record), paint.reset, pid_text(record),
                  !process.scan     ? ""
                  : view.is_at_exit ? ", when it ended"
                                    : ", as it runs");
  if (const auto& scan = process.scan) {
    if (scan->refusal != 0)
      return text + fmt::format("  {}not looked through: {}{}\n", paint.bad, refusal_text(scan->refusal), paint.reset);
    text += scan_text(process, *scan, paint);
  } else {
    const exact_amount& total = process.totals[static_cast<std::size_t>(leak_kind::never_freed)];
    text += fmt::format("  never freed  {}\n", blocks_text(total));
    if (process.suppressed.blocks != 0) text += fmt::format("  suppressed   {}\n", blocks_text(process.suppressed));
  }
  return text + without_stack_text(process, view) + suspects_text(process, view, paint) +
         sites_text(process, view, paint) + holders_text(process, view, paint);
}

void write_sum(json_writer& json, const char* name, const exact_amount& amount) { write_amount(json, name, amount); }

void write_scan(json_writer& json, const wire::leak_scan_header& scan) {
  const auto number = [&](const char* name, std::uint64_t value) {
    json.member(name, static_cast<std::int64_t>(value));
  };
  json.begin_object("scan");
  if (scan.refusal != 0) {
    json.member("refused", refusal_text(scan.refusal));
  } else {
    const auto& reachable = scan.sums[static_cast<std::size_t>(wire::block_reach::reachable)];
    write_sum(json, "reachable", {reachable.blocks, reachable.bytes});
    number("heuristic_blocks", scan.heuristic_blocks);
    number("root_bytes", scan.root_bytes);
    number("scan_ns", scan.scan_ns);
    number("unread_lists", scan.unread_lists);
    number("left_out_records", scan.left_out_records);
    number("held_blocks", scan.held_count);
    number("left_out_held_blocks", scan.left_out_held);
  }
  number("pause_ns", scan.pause_ns);
  number("lock_ns", scan.lock_ns);
  number("stop_ns", scan.stop_ns);
  number("copy_ns", scan.copy_ns);
  number("threads", scan.threads);
  number("unstopped_threads", scan.unstopped);
  json.end_object();
}

void write_site(json_writer& json, const leak_process& process, const leak_site& site) {
  json.begin_object();
  json.member("kind", text_of(site.kind).name);
  json.member("blocks", static_cast<std::int64_t>(site.leaked.blocks));
  json.member("bytes", static_cast<std::int64_t>(site.leaked.bytes));
  if (site.kind == leak_kind::definite) write_sum(json, "held", site.held);
  if (site.first_ns != 0) {
    const collect::process_record& record = process.profile.record;
    json.member("first_ns", static_cast<std::int64_t>(since_start_of(record, site.first_ns)));
    json.member("last_ns", static_cast<std::int64_t>(since_start_of(record, site.last_ns)));
  }
  if (!process.is_recorded && site.sampled.samples != 0) {
    json.number("estimated_bytes", site.sampled.bytes.value);
    json.number("estimated_bytes_error", site.sampled.bytes.standard_error());
  }
  write_stack(json, site.chain);
  json.end_object();
}

void write_suspect(json_writer& json, const analyze::growing_site& site) {
  json.begin_object();
  json.member("function", site.function);
  json.number("bytes_per_mib", site.bytes_per_mib.value);
  json.number("bytes_per_mib_low", site.bytes_per_mib.low);
  json.number("bytes_per_mib_high", site.bytes_per_mib.high);
  json.number("bytes_per_second", site.bytes_per_second);
  write_amount(json, "live", {site.live_blocks, site.live_bytes});
  json.member("allocated_blocks", static_cast<std::int64_t>(site.allocated_blocks));
  json.member("freed_blocks", static_cast<std::int64_t>(site.freed_blocks));
  if (site.oldest_ns != 0) {
    json.member("mean_age_ns", static_cast<std::int64_t>(site.mean_age_ns));
    json.member("oldest_ns", static_cast<std::int64_t>(site.oldest_ns));
  }
  write_stack(json, site.chain);
  json.end_object();
}

}  // namespace

std::string leaks_text(const leak_report& report, const leaks_view& view, const palette& paint) {
  std::string text = fmt::format("{}Leaks{}  {}\n", paint.bold, paint.reset, view.subject);
  if (!view.selected.empty()) text += fmt::format("  only blocks {}\n", view.selected);
  text += source_text(report.source, view.columns, paint);
  for (const std::string& note : report.notes) text += fmt::format("  {}{}.{}\n", paint.warning, note, paint.reset);
  std::size_t clean = 0;
  for (const leak_process& process : report.processes) {
    const bool is_of_scan = view.is_at_exit && !process.scan;
    if (is_of_scan) {
      text += fmt::format("\n{}  pid {}\n  {}not looked through: {}{}\n", command_text(process.profile.record),
                          process.profile.record.pid, paint.warning, unscanned_text(process.profile.record.end),
                          paint.reset);
    } else if (is_worth_showing(process, view) || report.processes.size() == 1) {
      text += process_text(process, view, paint);
    } else {
      ++clean;
    }
  }
  if (clean != 0) text += fmt::format("\n  {} more process{} without a leak\n", clean, clean == 1 ? "" : "es");
  return text;
}

std::string leaks_json(const leak_report& report, const leaks_view& view) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.leaks/1");
  json.member("subject", view.subject);
  json.member("selected", view.selected);
  write_source(json, report.source);
  write_notes(json, report.notes);
  json.begin_array("processes");
  for (const leak_process& process : report.processes) {
    json.begin_object();
    json.member("pid", static_cast<std::int64_t>(process.profile.record.pid));
    json.member("command", command_text(process.profile.record));
    if (view.is_at_exit && !process.scan) json.member("unscanned", unscanned_text(process.profile.record.end));
    if (const auto& scan = process.scan) write_scan(json, *scan);
    for (std::size_t kind = 0; kind < leak_kind_count; ++kind)
      if (process.scan ? kind != static_cast<std::size_t>(leak_kind::never_freed)
                       : kind == static_cast<std::size_t>(leak_kind::never_freed))
        write_sum(json, kinds[kind].name, process.totals[kind]);
    write_sum(json, "suppressed", process.suppressed);
    write_sum(json, "without_stack", process.without_stack);
    json.begin_array("sites");
    for (const leak_site& site : process.sites) write_site(json, process, site);
    json.end_array();
    if (process.scan && view.tells_reachable) write_holders(json, process);
    if (!process.scan && !view.is_at_exit) {
      json.member("judged_functions", static_cast<std::int64_t>(process.judged_functions));
      json.begin_array("suspects");
      for (const analyze::growing_site& one : process.suspects) write_suspect(json, one);
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
