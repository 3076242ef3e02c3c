// The sections of one process in the text report: summary, where it lives, who owns it, when it goes away, findings.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/format.h"
#include "instruments/analyze/ledger.h"
#include "instruments/analyze/memory_parts.h"
#include "instruments/cli/help_text.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/report_text.h"

namespace tenure::cli {
namespace {

using analyze::call_site;
using analyze::format_bytes;
using analyze::format_count;
using analyze::format_duration;
using analyze::format_error;
using analyze::format_share;
using analyze::format_with_error;
using analyze::memory_breakdown;
using analyze::memory_part;
using analyze::process_profile;
using analyze::site_group;

// Rows of the tables by line, module and thread: enough to see how it is spread.
constexpr std::size_t side_table_rows = 5;
// What the figures take of a line; the name has the rest.
constexpr int figure_columns_of_owners = 56;
constexpr int figure_columns_of_lifetimes = 60;
constexpr int figure_columns_of_frees = 34;
constexpr int figure_columns_of_contents = 34;
constexpr std::uint64_t least_deaths = 5;  // fewer freed samples make no distribution

std::string since_start(const process_profile& process, std::uint64_t time_ns) {
  const std::uint64_t start_ns = process.record.start_ns;
  return format_duration(time_ns > start_ns ? time_ns - start_ns : 0);
}

std::string recorded_text(const analyze::full_account& full) {
  std::string text = fmt::format("{} events, every allocation and free", full.events);
  const std::uint64_t lost = full.losses.allocations + full.losses.frees;
  text += lost == 0 ? "; none dropped" : fmt::format(" but {} that were dropped", lost);
  if (full.stray_frees != 0)
    text += fmt::format("; {} frees of blocks that it had before, or that its parent had", full.stray_frees);
  return text;
}

// A figure that rests on one sample or two says less than the heap's own count does.
std::string live_text(const analyze::amount& live, const process_profile& process, bool is_at_exit) {
  constexpr double least_error = 0.7;
  if (!process.bounds) return format_with_error(live.bytes);
  const bool applies = is_at_exit ? process.bounds->applies_at_exit : process.bounds->applies_at_peak;
  if (!applies && live.bytes.relative_error() < least_error) return format_with_error(live.bytes);
  return "at most " + size_of(is_at_exit ? process.bounds->exit_bytes : process.bounds->peak_bytes);
}

std::string live_line(const process_profile& process) {
  const std::string at_peak = live_text(process.live_at_peak, process, false);
  const std::string at_exit = live_text(process.live_at_exit, process, true);
  std::string text = fmt::format("{} at its peak after {}, {} at exit", at_peak,
                                 since_start(process, process.live_peak_time_ns), at_exit);
  if (at_peak.starts_with("at most") || at_exit.starts_with("at most"))
    text += "; at most: by the heap's own count, where too few samples tell or they say more";
  return text;
}

std::string samples_text(const collect::process_record& record) {
  const analyze::interval_range range = analyze::intervals_of(record.samples);
  std::string text = fmt::format("{}, one in {}", record.samples.size(), size_of(range.least_bytes));
  if (range.greatest_bytes != range.least_bytes) text += " to " + size_of(range.greatest_bytes);
  text += fmt::format(" allocated; {} dropped", record.dropped_events);
  if (range.greatest_bytes != range.least_bytes)
    text += "; threads that allocate fast are sampled less often (TENURE_SAMPLE_SPACING)";
  return text;
}

// Its parent's blocks, or those from before anybody looked on: live here, and not allocated here.
std::string inherited_text(const process_profile& process) {
  const bool is_attached = process.record.origin == wire::origin::attached;
  return fmt::format("{} in {} blocks that {}; {} of it freed since", format_with_error(process.inherited.bytes),
                     format_count(process.inherited.blocks.value),
                     is_attached ? "were there when it was attached to" : "its parent had when it forked",
                     format_with_error(process.inherited_freed.bytes));
}

constexpr const char* other_malloc_text = "malloc is not Tenure's here, but the program's own";

bool is_other_malloc(const collect::process_record& record) { return record.malloc_owner == wire::malloc_owner::other; }

std::string why_no_samples(const collect::process_record& record) {
  if (is_other_malloc(record)) return other_malloc_text;
  if (record.sample_interval_bytes == 0) return "sampling was off";
  return fmt::format("it allocated little against the sampling interval of {}", size_of(record.sample_interval_bytes));
}

std::string summary(const process_profile& process, int columns) {
  const auto& record = process.record;
  const double seconds = std::max(1e-9, static_cast<double>(record.end_ns - record.start_ns) / 1e9);
  constexpr int name_columns = 12;
  std::string text;
  if (process.peak_resident_bytes != 0)
    text += fmt::format("  peak RSS      {} after {}\n", size_of(process.peak_resident_bytes),
                        since_start(process, process.peak_resident_time_ns));
  const auto line = [&](std::string_view name, const std::string& said) {
    text += two_columns(name, said, name_columns, columns, colors(false));
  };
  if (!process.has_sites()) {
    if (process.full)
      line("recorded",
           std::string("nothing: ") + (is_other_malloc(record) ? other_malloc_text : "it told no allocation"));
    else
      line("samples", "none: " + why_no_samples(record));
    return text;
  }
  line("live heap", live_line(process));
  text +=
      fmt::format("  allocated     {} in {} blocks, {}/s\n", format_with_error(process.allocated.bytes),
                  format_count(process.allocated.blocks.value), format_bytes(process.allocated.bytes.value / seconds));
  if (process.inherited.samples != 0) line("inherited", inherited_text(process));
  if (process.full)
    line("recorded", recorded_text(*process.full));
  else
    line("samples", samples_text(record));
  return text;
}

const memory_part* part_in(const std::optional<memory_breakdown>& memory, std::size_t kind) {
  if (!memory) return nullptr;
  for (const memory_part& part : memory->parts)
    if (static_cast<std::size_t>(part.kind) == kind) return &part;
  return nullptr;
}

std::string part_note(const memory_part& part, bool is_full) {
  if (part.sampled) {
    const std::string error = format_error(*part.sampled);
    return is_full ? "counted" : error.empty() ? "sampled" : "sampled " + error;
  }
  // What is left of the heap when the others are taken off, the error of the live blocks with it.
  if (part.kind == analyze::part_kind::heap_thread_caches && !is_full) return "or live and not sampled";
  std::string note;
  for (const memory_part& detail : part.details)
    note += fmt::format("{}{} {}", note.empty() ? "" : ", ", detail.name, size_of(detail.resident_bytes));
  return note;
}

// One column for each moment of which there is a map.
std::string where_it_lives(const process_profile& process, const palette& paint, int columns) {
  const auto& peak = process.memory_at_peak;
  const auto& exit = process.memory_at_exit;
  std::string text = section_heading(
      paint, "Where it lives",
      peak ? fmt::format("at the peak of RSS, after {}, and at exit", since_start(process, peak->time_ns)) : "");
  if (!peak && !exit) {
    const bool went_on = process.record.end == collect::process_end::unwatched;
    return text + (went_on ? "  It became a program that is not watched before its mappings could be read.\n"
                           : "  The process was gone before its mappings could be read, and left no copy of them.\n");
  }
  const auto cell = [](const memory_part* part) { return part == nullptr ? "" : size_of(part->resident_bytes); };
  const auto share = [](const memory_part* part, const std::optional<memory_breakdown>& of) {
    return part == nullptr ? ""
                           : format_share(static_cast<double>(part->resident_bytes) /
                                          static_cast<double>(std::max<std::uint64_t>(1, of->resident_bytes)));
  };
  std::vector<table_row> rows;
  for (std::size_t kind = 0; kind < analyze::part_kind_count; ++kind) {
    const memory_part* const at_peak = part_in(peak, kind);
    const memory_part* const at_exit = part_in(exit, kind);
    if (at_peak == nullptr && at_exit == nullptr) continue;
    const memory_part& shown = at_peak != nullptr ? *at_peak : *at_exit;
    rows.push_back({{shown.name, cell(at_peak), share(at_peak, peak), cell(at_exit), share(at_exit, exit),
                     part_note(shown, process.full.has_value())},
                    {}});
  }
  rows.push_back({{"resident", peak ? size_of(peak->resident_bytes) : "", peak ? "100%" : "",
                   exit ? size_of(exit->resident_bytes) : "", exit ? "100%" : "", ""},
                  {}});
  text += format_table({{"", true}, {peak ? "at the peak" : ""}, {""}, {exit ? "at exit" : ""}, {""}, {"", true}}, rows,
                       paint, columns);
  std::string note;
  // Far enough from the true peak that the reader should know.
  if (peak && peak->resident_bytes + peak->resident_bytes / 50 < process.peak_resident_bytes)
    note = fmt::format(
        "The mappings of the peak were read at {} of the {} that RSS reached",
        format_share(static_cast<double>(peak->resident_bytes) / static_cast<double>(process.peak_resident_bytes)),
        size_of(process.peak_resident_bytes));
  if (peak && peak->follows_frees)
    note += fmt::format("{} live heap had its own peak before, after {}: what is free here was mostly live then",
                        note.empty() ? "The" : "; the", since_start(process, process.live_peak_time_ns));
  if (exit && process.record.end != collect::process_end::exited)
    note += fmt::format("{} last mappings were read after {}", note.empty() ? "The" : "; the",
                        since_start(process, exit->time_ns));
  if (!note.empty()) text += wrapped(fmt::format("{}{}.{}", paint.dim, note, paint.reset), columns, 2);
  return text;
}

std::string limit_text(const collect::account& account) {
  if (account.hard_limit_bytes == wire::no_limit) return "";
  const std::string refused =
      account.refusals == 0 ? "" : fmt::format(", {} refused", format_count(static_cast<double>(account.refusals)));
  return fmt::format("limit {}{}", size_of(account.hard_limit_bytes), refused);
}

// Exact, and across the parts above: what the program's own ledger says of its heaps, arenas, pools and caches.
std::string who_holds_it(const process_profile& process, const report_options& options, const palette& paint) {
  const std::vector<const collect::account*> accounts = analyze::accounts_by_size(process);
  if (accounts.empty() && process.record.refused_accounts == 0) return "";
  std::string text = section_heading(paint, "Who holds it, by account", "exact; the memory lies in the parts above");
  std::vector<table_row> rows;
  const std::size_t shown = options.shows_all ? accounts.size() : std::min(options.top, accounts.size());
  for (std::size_t index = 0; index < shown; ++index) {
    const collect::account& one = *accounts[index];
    const auto at_peak = analyze::account_at_peak(process, one);
    rows.push_back(
        {{at_peak ? size_of(at_peak->held_bytes) : "-", size_of(one.held_bytes), size_of(one.peak_held_bytes),
          one.publishes_use ? size_of(one.used_bytes) : "", one.publishes_use ? size_of(one.peak_used_bytes) : "",
          one.kind, analyze::account_path(process.record.accounts, one)},
         limit_text(one)});
  }
  text +=
      format_table({{"at peak"}, {"at exit"}, {"highest"}, {"in use"}, {"highest"}, {"kind", true}, {"account", true}},
                   rows, paint, options.columns);
  if (shown < accounts.size()) text += fmt::format("  and {} more\n", accounts.size() - shown);
  if (process.record.refused_accounts != 0)
    text += fmt::format("  {}{} owners found the ledger full; what they hold is in no row.{}\n", paint.warning,
                        process.record.refused_accounts, paint.reset);
  return text;
}

std::string contents_table(const std::vector<analyze::content_group>& groups, std::string_view head,
                           const report_options& options, const palette& paint) {
  const int name_width = options.columns - figure_columns_of_contents;
  const std::size_t shown = options.shows_all ? groups.size() : std::min(options.top, groups.size());
  std::vector<table_row> rows;
  for (std::size_t index = 0; index < shown; ++index) {
    const analyze::content_group& one = groups[index];
    rows.push_back({{format_bytes(one.live.bytes.value), format_error(one.live.bytes),
                     format_count(one.live.blocks.value), shorten_function(one.name, name_width)},
                    one.chain.empty() ? std::string() : chain_text(one.chain)});
  }
  std::string text =
      format_table({{"live"}, {"error"}, {"objects"}, {std::string(head), true}}, rows, paint, options.columns);
  if (shown < groups.size()) text += fmt::format("  and {} more\n", groups.size() - shown);
  return text;
}

// What managed heaps hold, as they have sampled it.
std::string what_lies_in_it(const process_profile& process, const report_options& options, const palette& paint) {
  std::string text;
  for (const analyze::account_contents& one : process.contents) {
    const auto& accounts = process.record.accounts;
    const auto account = std::find_if(accounts.begin(), accounts.end(),
                                      [&](const collect::account& each) { return each.record == one.account; });
    if (account == accounts.end()) continue;
    text += section_heading(paint, fmt::format("What lies in {} {}", account->kind, account->name),
                            "objects that were made and not found dead, sampled");
    text += contents_table(one.by_type, "type", options, paint) + "\n" +
            contents_table(one.by_site, "made in", options, paint);
  }
  if (process.record.refused_contents != 0)
    text += fmt::format("  {}{} samples of objects found no room to be told; what they stand for is in no row.{}\n",
                        paint.warning, process.record.refused_contents, paint.reset);
  return text;
}

// What was counted has no error to show.
void drop_column(std::vector<table_column>& heads, std::vector<table_row>& rows, std::ptrdiff_t column) {
  heads.erase(heads.begin() + column);
  for (table_row& row : rows) row.cells.erase(row.cells.begin() + column);
}

using group_order = std::function<double(const call_site&)>;

std::vector<const site_group*> top_of(const std::vector<site_group>& groups, std::size_t limit, const group_order& by) {
  std::vector<const site_group*> result;
  for (const site_group& group : groups) result.push_back(&group);
  std::stable_sort(result.begin(), result.end(),
                   [&](const site_group* a, const site_group* b) { return by(a->totals) > by(b->totals); });
  if (result.size() > limit) result.resize(limit);
  while (!result.empty() && by(result.back()->totals) <= 0) result.pop_back();
  return result;
}

std::string owners_table(const process_profile& process, const std::vector<site_group>& groups, std::size_t limit,
                         const std::string& head, bool are_functions, const palette& paint, int columns) {
  // What matters at either moment.
  const auto largest = [](const call_site& site) {
    return std::max(site.live_at_peak.bytes.value, site.live_at_exit.bytes.value);
  };
  std::vector<table_row> rows;
  const bool is_full = process.full.has_value();
  const int name_width = columns - figure_columns_of_owners;
  for (const site_group* const group : top_of(groups, limit, largest)) {
    const call_site& site = group->totals;
    rows.push_back(
        {{format_bytes(site.live_at_peak.bytes.value),
          format_share(site.live_at_peak.bytes.value / std::max(1.0, process.live_at_peak.bytes.value)),
          format_error(site.live_at_peak.bytes), format_bytes(site.live_at_exit.bytes.value),
          format_count(site.live_at_peak.blocks.value), format_bytes(site.live_at_peak.average_block_bytes()),
          are_functions ? shorten_function(group->name, name_width) : keep_end(group->name, name_width)},
         are_functions ? chain_text(group->chain) : std::string()});
  }
  std::vector<table_column> heads = {{"at peak"}, {"share"},   {"error"},   {"at exit"},
                                     {"blocks"},  {"average"}, {head, true}};
  if (is_full) drop_column(heads, rows, 2);
  return format_table(heads, rows, paint, columns);
}

bool has_lines(const process_profile& process) {
  return std::any_of(process.by_line.begin(), process.by_line.end(), [](const site_group& group) {
    const std::size_t colon = group.name.rfind(':');
    return group.name.find('/') != std::string::npos && colon != std::string::npos &&
           group.name.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  });
}

std::string who_owns_it(const process_profile& process, const report_options& options, const palette& paint) {
  std::string text =
      section_heading(paint, "Who owns it",
                      fmt::format("{} live at the peak, {} at exit", live_text(process.live_at_peak, process, false),
                                  live_text(process.live_at_exit, process, true)));
  text += owners_table(process, process.by_function, options.top, "function", true, paint, options.columns);
  const std::size_t side_rows = std::min(options.top, side_table_rows);
  if (has_lines(process))
    text += "\n" + owners_table(process, process.by_line, side_rows, "line", false, paint, options.columns);
  text += "\n" + owners_table(process, process.by_module, side_rows, "module", false, paint, options.columns);
  if (process.by_thread.size() > 1)
    text += "\n" + owners_table(process, process.by_thread, side_rows, "thread", false, paint, options.columns);
  return text;
}

std::string quantile_text(const std::optional<std::uint64_t>& time_ns, const call_site& site, bool is_full) {
  if (site.lifetimes.freed.samples < (is_full ? 1 : least_deaths)) return "-";
  return time_ns ? format_duration(*time_ns) : "never";
}

std::string when_it_goes(const process_profile& process, const report_options& options, const palette& paint) {
  if (process.allocated.samples == 0) return "";  // all it has was inherited
  std::vector<table_row> rows;
  const bool is_full = process.full.has_value();
  const int name_width = options.columns - figure_columns_of_lifetimes;
  const auto allocated = [](const call_site& site) { return site.allocated.bytes.value; };
  const auto row_of = [&](const call_site& site, const std::string& name) {
    const double freed = site.lifetimes.freed.bytes.value;
    rows.push_back({{format_bytes(site.allocated.bytes.value), format_error(site.allocated.bytes),
                     quantile_text(site.lifetimes.quartile_ns, site, is_full),
                     quantile_text(site.lifetimes.median_ns, site, is_full),
                     quantile_text(site.lifetimes.third_quartile_ns, site, is_full),
                     quantile_text(site.lifetimes.ninth_decile_ns, site, is_full),
                     freed > 0 ? format_share(site.lifetimes.freed_by_other_thread_bytes / freed) : "-",
                     format_bytes(site.lifetimes.never_freed.bytes.value), name},
                    {}});
  };
  for (const site_group* const group : top_of(process.by_function, options.top, allocated))
    row_of(group->totals, shorten_function(group->name, name_width));
  call_site all;
  all.allocated = process.allocated;
  all.lifetimes = process.lifetimes;
  row_of(all, "all of it");
  std::vector<table_column> heads = {{"allocated"}, {"error"},     {"25%"},   {"50%"},           {"75%"},
                                     {"90%"},       {"elsewhere"}, {"never"}, {"function", true}};
  if (process.full) drop_column(heads, rows, 1);
  return section_heading(paint, "When it goes away", "time until 25%, 50%, 75% and 90% of the bytes are gone") +
         format_table(heads, rows, paint, options.columns);
}

// One row a function: who freed most of what it had allocated.
std::string who_frees_it(const process_profile& process, const report_options& options, const palette& paint) {
  const double least_samples = process.full ? 1 : least_deaths;
  const int name_width = (options.columns - figure_columns_of_frees) / 2;
  std::vector<table_row> rows;
  for (const site_group* const group : top_of(process.by_function, options.top,
                                              [](const call_site& site) { return site.lifetimes.freed.bytes.value; })) {
    const analyze::lifetime_summary& lives = group->totals.lifetimes;
    if (group->freed_by.empty() || static_cast<double>(lives.freed.samples) < least_samples) continue;
    const analyze::freeing_function& most = group->freed_by.front();
    rows.push_back({{format_bytes(lives.freed.bytes.value), format_error(lives.freed.bytes),
                     shorten_function(group->name, name_width), format_share(most.bytes / lives.freed.bytes.value),
                     shorten_function(most.name, name_width)},
                    chain_text(most.chain)});
  }
  if (rows.empty()) return "";
  std::vector<table_column> heads = {{"freed"}, {"error"}, {"allocated in", true}, {"share"}, {"freed in", true}};
  if (process.full) drop_column(heads, rows, 1);
  return section_heading(paint, "Who frees it", "the function that freed most of each, and how much of it") +
         format_table(heads, rows, paint, options.columns);
}

std::string findings_text(const process_profile& process, const palette& paint, int columns) {
  std::string text = section_heading(paint, "Findings");
  if (process.findings.empty())
    return text + (process.full ? "  Nothing stands out.\n" : "  Nothing stands out beyond the sampling error.\n");
  for (const analyze::finding& one : process.findings) {
    std::string paragraph = wrapped(one.text, columns, 4);
    paragraph[2] = '-';
    text += paragraph;
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

}  // namespace

std::string process_text(const process_profile& process, const report_options& options) {
  const palette& paint = colors(options.uses_color);
  std::string text = summary(process, options.columns) + where_it_lives(process, paint, options.columns) +
                     who_holds_it(process, options, paint) + what_lies_in_it(process, options, paint);
  // Without call sites there may be something to say of the rest all the same.
  if (!process.has_sites())
    return process.findings.empty() ? text : text + findings_text(process, paint, options.columns);
  return text + who_owns_it(process, options, paint) + when_it_goes(process, options, paint) +
         who_frees_it(process, options, paint) + findings_text(process, paint, options.columns);
}

}  // namespace tenure::cli
