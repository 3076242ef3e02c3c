#include "instruments/cli/recorded_fragments_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "instruments/analyze/format.h"
#include "instruments/cli/fragmentation_shape.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {
namespace {

using analyze::recorded_class;
using analyze::recorded_fragment_site;
using analyze::recorded_fragmentation_report;
using analyze::recorded_fragments;

// They sum to the heap.
std::vector<heap_part> parts_of(const recorded_fragments& of) {
  return {{"live", "in use, in blocks of size classes", of.sums.live_bytes},
          {"large", "in use, large blocks", of.sums.large_bytes},
          {"named", "spans of named heaps, and of sampled blocks", of.named_bytes},
          {"free", "free in spans, or never handed out", of.sums.free_bytes},
          {"cached", "handed out and not in use: threads' caches", of.sums.cached_bytes},
          {"batches", "free in batches between threads", of.sums.batch_bytes},
          {"dirty", "free pages, not gone back yet", of.sums.dirty_bytes},
          {"absent", "free in spans, gone back", of.sums.absent_bytes},
          {"tails", "ends of spans in which no block fits", of.sums.tail_bytes},
          {"clean", "free pages without memory", of.sums.clean_bytes}};
}

std::string sites_text(const recorded_fragments& of, const fragmentation_view& view, const palette& paint) {
  std::vector<table_row> rows;
  for (const recorded_fragment_site& one : of.sites) {
    if (one.most_pinned_bytes == 0 || rows.size() == view.top) break;
    rows.push_back({{size_of(one.most_pinned_bytes), size_of(one.even_pinned_bytes), fmt::format("{}", one.live.blocks),
                     size_of(one.live.bytes), analyze::format_duration(one.oldest_ns),
                     one.chain.empty() ? "[no names]" : one.chain.front().function},
                    chain_text(one.chain)});
  }
  if (rows.empty()) return "";
  return section_heading(paint, "Who may pin it", "of what is free in spans: at most, and if it were spread evenly") +
         format_table({{"at most"}, {"evenly"}, {"blocks"}, {"bytes"}, {"oldest"}, {"function", true}}, rows, paint,
                      view.columns);
}

std::string classes_text(const recorded_fragments& of, const fragmentation_view& view, const palette& paint) {
  std::vector<table_row> rows;
  for (const recorded_class* const one : with_most_memory(of.classes, view.top)) {
    rows.push_back({{fmt::format("{}", one->block_bytes), fmt::format("{}", one->spans), size_of(one->span_bytes),
                     share_text(one->handed_out_blocks * one->block_bytes, one->span_bytes), size_of(one->free_bytes()),
                     size_of(one->batch_blocks * one->block_bytes), size_of(one->tail_bytes()),
                     size_of(left_over_bytes(one->live.blocks * one->block_bytes, one->live.bytes))},
                    ""});
  }
  if (rows.empty()) return "";
  return section_heading(paint, "Size classes", "those with most memory") +
         format_table({{"block"}, {"spans"}, {"memory"}, {"handed out"}, {"free"}, {"batches"}, {"ends"}, {"rounding"}},
                      rows, paint, view.columns);
}

std::string process_text(const recorded_fragments& of, const fragmentation_view& view, const palette& paint) {
  const collect::process_record& record = of.profile.record;
  std::string text = fmt::format("\n{}{}{}  pid {}", paint.bold, command_text(record), paint.reset, pid_text(record));
  if (!of.is_known)
    return text + fmt::format("\n  {}the heap's counters are not in the recording{}\n", paint.warning, paint.reset);
  text += fmt::format(", after {}\n", analyze::format_duration(since_start_of(record, of.moment_ns)));
  text += fmt::format("  {}heap {}{}, of {} that were resident\n", paint.bold, size_of(of.chunk_bytes), paint.reset,
                      size_of(of.resident_bytes));
  text += losses_text(of.profile.record, of.losses, of.is_complete, 0, paint);
  if (of.total_bytes() != of.chunk_bytes)
    text += fmt::format("  {}the parts were told while they changed: they sum to {}{}\n", paint.dim,
                        size_of(of.total_bytes()), paint.reset);
  text += parts_text(parts_of(of), of.total_bytes());
  if (of.alive.usable_bytes > of.alive.bytes)
    text += fmt::format("  {:>10}        of what is in use is what sizes are rounded up by\n",
                        size_of(of.alive.usable_bytes - of.alive.bytes));
  return text + sites_text(of, view, paint) + classes_text(of, view, paint);
}

void write_class(json_writer& json, const recorded_class& one) {
  json.begin_object();
  write_number(json, "block_bytes", one.block_bytes);
  write_number(json, "spans", one.spans);
  write_number(json, "span_bytes", one.span_bytes);
  write_number(json, "handed_out_blocks", one.handed_out_blocks);
  write_number(json, "free_blocks", one.free_blocks);
  write_number(json, "absent_blocks", one.absent_blocks);
  write_number(json, "batch_blocks", one.batch_blocks);
  write_number(json, "tail_bytes", one.tail_bytes());
  write_amount(json, "live", one.live);
  write_number(json, "uncertain_blocks", one.uncertain);
  json.end_object();
}

void write_site(json_writer& json, const recorded_fragment_site& one) {
  json.begin_object();
  write_number(json, "most_pinned_bytes", one.most_pinned_bytes);
  write_number(json, "even_pinned_bytes", one.even_pinned_bytes);
  write_amount(json, "live", one.live);
  write_number(json, "usable_bytes", one.usable_bytes);
  write_number(json, "oldest_ns", one.oldest_ns);
  write_stack(json, one.chain);
  json.end_object();
}

void write_process(json_writer& json, const recorded_fragments& of) {
  json.begin_object();
  write_number(json, "pid", of.profile.record.pid);
  json.member("command", command_text(of.profile.record));
  json.member("is_complete", of.is_complete);
  write_losses(json, of.profile.record, of.losses);
  json.member("is_known", of.is_known);
  if (of.is_known) {
    write_number(json, "moment_ns", since_start_of(of.profile.record, of.moment_ns));
    write_number(json, "resident_bytes", of.resident_bytes);
    write_number(json, "heap_bytes", of.chunk_bytes);
    write_parts(json, parts_of(of));
    write_amount(json, "alive", {of.alive.blocks, of.alive.bytes});
    write_number(json, "alive_usable_bytes", of.alive.usable_bytes);
    write_number(json, "large_requested_bytes", of.large_requested_bytes);
  }
  json.begin_array("sites");
  for (const recorded_fragment_site& one : of.sites) write_site(json, one);
  json.end_array();
  json.begin_array("classes");
  for (const recorded_class& one : of.classes)
    if (one.spans != 0 || one.live.blocks != 0) write_class(json, one);
  json.end_array();
  json.end_object();
}

}  // namespace

std::string recorded_fragments_text(const recorded_fragmentation_report& report, const fragmentation_view& view,
                                    const palette& paint) {
  std::string text = fmt::format("{}Fragmentation{}  {}\n", paint.bold, paint.reset, view.subject);
  text += notes_text(report.damage, report.is_complete, report.notes, paint);
  if (!view.selected.empty()) text += fmt::format("  call sites of blocks {} only\n", view.selected);
  std::uint64_t largest = 0;
  std::size_t small = 0;
  for (const recorded_fragments& one : report.processes) largest = std::max(largest, one.chunk_bytes);
  for (const recorded_fragments& one : report.processes) {
    if (view.shows_all || one.chunk_bytes * 10 >= largest)
      text += process_text(one, view, paint);
    else
      ++small;
  }
  if (report.processes.empty()) text += "  Nothing was recorded: no process told an allocation.\n";
  return text + left_out_text(small);
}

std::string recorded_fragments_json(const recorded_fragmentation_report& report, const fragmentation_view& view) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.recorded-fragmentation/1");
  json.member("subject", view.subject);
  json.member("selected", view.selected);
  json.member("is_complete", report.is_complete);
  if (report.damage) json.member("damage", *report.damage);
  write_notes(json, report.notes);
  json.begin_array("processes");
  for (const recorded_fragments& one : report.processes) write_process(json, one);
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
