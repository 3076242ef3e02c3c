#include "instruments/cli/fragmentation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "instruments/analyze/format.h"
#include "instruments/cli/fragmentation_shape.h"
#include "instruments/cli/holders_report.h"
#include "instruments/cli/json_text.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"
#include "instruments/cli/scan_refusal.h"

namespace tenure::cli {
namespace {

using analyze::class_fragments;
using analyze::fragment_site;
using analyze::fragmentation_report;
using analyze::fragmented_process;
using analyze::heap_sums;

// They sum to the heap.
std::vector<heap_part> parts_of(const heap_sums& sums) {
  return {{"live", "in use, in blocks of size classes", sums.live_bytes},
          {"large", "in use, large blocks", sums.large_bytes},
          {"free", "free in spans that were used", sums.free_bytes},
          {"cached", "free in threads' caches", sums.cached_bytes},
          {"batches", "free in batches between threads", sums.batch_bytes},
          {"dirty", "free pages, not gone back yet", sums.dirty_bytes},
          {"unused", "in spans, never handed out", sums.unused_bytes},
          {"absent", "free in spans, gone back", sums.absent_bytes},
          {"tails", "ends of spans in which no block fits", sums.tail_bytes},
          {"clean", "free pages without memory", sums.clean_bytes}};
}

std::string sites_text(const fragmented_process& process, const fragmentation_view& view, const palette& paint) {
  if (process.pinned_bytes == 0) return "";
  std::string text = section_heading(
      paint, "Pinned",
      fmt::format("{} of free memory in {} spans that a few blocks keep from going back; by who allocated those",
                  size_of(process.pinned_bytes), process.sparse_spans));
  std::vector<table_row> rows;
  for (const fragment_site& one : process.sites) {
    if (one.pinned_bytes == 0 || rows.size() == view.top) break;
    const std::string name = one.stack == analyze::no_index ? "[no stack is known]"
                             : one.chain.empty()            ? "[no names]"
                                                            : one.chain.front().function;
    rows.push_back({{size_of(one.pinned_bytes), share_text(one.pinned_bytes, process.pinned_bytes),
                     fmt::format("{}", one.survivors.blocks), size_of(one.survivors.bytes),
                     fmt::format("{}", one.spans), fmt::format("{}", one.lone_spans), name},
                    chain_text(one.chain)});
  }
  return text + format_table({{"pinned"}, {"share"}, {"blocks"}, {"bytes"}, {"spans"}, {"alone"}, {"function", true}},
                             rows, paint, view.columns);
}

std::string classes_text(const fragmented_process& process, const fragmentation_view& view, const palette& paint) {
  std::vector<table_row> rows;
  for (const class_fragments* const one : with_most_memory(process.classes, view.top)) {
    const std::uint64_t rounding = left_over_bytes(one->requested.blocks * one->block_bytes, one->requested.bytes);
    rows.push_back({{fmt::format("{}", one->block_bytes), fmt::format("{}", one->spans), size_of(one->span_bytes),
                     share_text(one->sums.live_bytes, one->span_bytes), size_of(one->sums.free_bytes),
                     size_of(one->sums.cached_bytes + one->sums.batch_bytes), size_of(one->sums.tail_bytes),
                     one->requested.blocks == 0 ? "-" : size_of(rounding), size_of(one->pinned_bytes)},
                    ""});
  }
  if (rows.empty()) return "";
  return section_heading(paint, "Size classes", "those with most memory") +
         format_table(
             {{"block"}, {"spans"}, {"memory"}, {"in use"}, {"free"}, {"cached"}, {"ends"}, {"rounding"}, {"pinned"}},
             rows, paint, view.columns);
}

std::string map_text(const fragmented_process& process, const palette& paint) {
  if (process.map.empty()) return "";
  std::string text = section_heading(
      paint, "Map",
      fmt::format("{} a character: # mostly in use, + a quarter, . less, c cached, L large, d free, _ no memory",
                  size_of(process.map_piece_bytes)));
  for (std::size_t at = 0; at < process.map.size(); at += analyze::map_columns)
    text += "  " + process.map.substr(at, analyze::map_columns) + "\n";
  return text;
}

std::string process_text(const fragmented_process& process, const fragmentation_view& view, const palette& paint) {
  const collect::process_record& record = process.profile.record;
  std::string text = fmt::format("\n{}{}{}  pid {}{}\n", paint.bold, command_text(record), paint.reset, record.pid,
                                 view.is_at_exit ? ", when it ended" : ", as it runs");
  if (!record.heap_map) {
    std::string why = record.scan ? refusal_text(record.scan->header.refusal) : unscanned_text(record.end);
    if (why.empty()) why = "it ended before that";
    return text + fmt::format("  {}not looked at: {}{}\n", paint.warning, why, paint.reset);
  }
  const wire::leak_scan_header& header = record.heap_map->header;
  text += fmt::format("  {}heap {}{}; {}held up for {}{}\n", paint.bold, size_of(process.sums.total()), paint.reset,
                      paint.dim, analyze::format_duration(header.pause_ns), paint.reset);
  if (!process.agrees)
    text += fmt::format("  {}the spans do not sum to the heap's own counters{}\n", paint.bad, paint.reset);
  if (header.unread_lists != 0)
    text += fmt::format("  {}{} lists of free blocks could not be read: those blocks count as in use{}\n",
                        paint.warning, header.unread_lists, paint.reset);
  text += parts_text(parts_of(process.sums), process.sums.total());
  if (process.large_slack_bytes != 0)
    text += fmt::format("  {:>10}        of the large blocks is what pages add to them\n",
                        size_of(process.large_slack_bytes));
  text += "\n";
  for (const analyze::finding& one : process.advice) text += wrapped("- " + one.text, view.columns, 2);
  return text + sites_text(process, view, paint) + classes_text(process, view, paint) + map_text(process, paint);
}

// A wrapper script, an `env`: nobody asked about those.
bool became_another(const fragmented_process& process) {
  const collect::process_record& record = process.profile.record;
  return !record.heap_map && !record.scan && record.end == collect::process_end::replaced;
}

bool is_worth_showing(const fragmentation_report& report, const fragmented_process& process,
                      const fragmentation_view& view) {
  std::uint64_t largest = 0;
  for (const fragmented_process& one : report.processes) largest = std::max(largest, one.sums.total());
  return view.shows_all || !process.profile.record.heap_map || process.sums.total() * 10 >= largest;
}

void write_site(json_writer& json, const fragment_site& one) {
  json.begin_object();
  write_number(json, "pinned_bytes", one.pinned_bytes);
  write_amount(json, "survivors", one.survivors);
  write_number(json, "spans", one.spans);
  write_number(json, "lone_spans", one.lone_spans);
  write_amount(json, "live", one.live);
  write_number(json, "usable_bytes", one.usable_bytes);
  json.member("is_known", one.stack != analyze::no_index);
  write_stack(json, one.chain);
  json.end_object();
}

void write_class(json_writer& json, const class_fragments& one) {
  json.begin_object();
  write_number(json, "block_bytes", one.block_bytes);
  write_number(json, "spans", one.spans);
  write_number(json, "span_bytes", one.span_bytes);
  write_number(json, "live_blocks", one.live_blocks);
  write_number(json, "sparse_spans", one.sparse_spans);
  write_number(json, "pinned_bytes", one.pinned_bytes);
  write_amount(json, "requested", one.requested);
  write_parts(json, parts_of(one.sums));
  json.end_object();
}

void write_statistics(json_writer& json, const wire::heap_statistics& told) {
  json.begin_object("statistics");
  write_number(json, "chunk_bytes", told.chunk_bytes);
  write_number(json, "small_span_bytes", told.small_span_bytes);
  write_number(json, "large_span_bytes", told.large_span_bytes);
  write_number(json, "named_heap_span_bytes", told.named_heap_span_bytes);
  write_number(json, "free_dirty_bytes", told.free_dirty_bytes);
  write_number(json, "free_clean_bytes", told.free_clean_bytes);
  write_number(json, "thread_caches", told.thread_cache_count);
  json.end_object();
}

const char* kind_code(wire::mapped_kind kind) {
  constexpr const char* codes[] = {"small",       "large",      "sampled",   "named_small",
                                   "named_large", "free_dirty", "free_clean"};
  return codes[static_cast<std::size_t>(kind)];
}

void write_spans(json_writer& json, const std::vector<collect::mapped_span>& spans) {
  json.begin_array("spans");
  for (const collect::mapped_span& one : spans) {
    json.begin_object();
    json.member("begin", fmt::format("{:#x}", one.begin));
    write_number(json, "bytes", one.bytes);
    json.member("kind", kind_code(one.kind));
    if (one.block_count != 0) {
      write_number(json, "block_bytes", one.block_bytes);
      write_number(json, "blocks", one.block_count);
      write_number(json, "live", one.live_blocks);
      write_number(json, "cached", one.cached_blocks);
      write_number(json, "batches", one.batch_blocks);
      write_number(json, "free", one.free_blocks);
      write_number(json, "absent", one.absent_blocks);
      write_number(json, "unused", one.unused_blocks);
    }
    json.end_object();
  }
  json.end_array();
}

void write_process(json_writer& json, const fragmented_process& process) {
  const collect::process_record& record = process.profile.record;
  json.begin_object();
  write_number(json, "pid", record.pid);
  json.member("command", command_text(record));
  if (!record.heap_map) {
    json.member("unscanned", record.scan ? refusal_text(record.scan->header.refusal) : unscanned_text(record.end));
    json.end_object();
    return;
  }
  write_number(json, "pause_ns", record.heap_map->header.pause_ns);
  write_number(json, "scan_ns", record.heap_map->header.scan_ns);
  write_number(json, "unread_lists", record.heap_map->header.unread_lists);
  write_number(json, "heap_bytes", process.sums.total());
  json.member("agrees", process.agrees);
  write_parts(json, parts_of(process.sums));
  write_statistics(json, record.heap_map->statistics);
  write_number(json, "live_blocks", process.live_blocks);
  write_amount(json, "known", process.known);
  write_number(json, "large_slack_bytes", process.large_slack_bytes);
  write_number(json, "sparse_spans", process.sparse_spans);
  write_number(json, "pinned_bytes", process.pinned_bytes);
  json.begin_array("advice");
  for (const analyze::finding& one : process.advice) {
    json.begin_object();
    json.member("code", one.code);
    json.member("text", one.text);
    json.end_object();
  }
  json.end_array();
  json.begin_array("sites");
  for (const fragment_site& one : process.sites) write_site(json, one);
  json.end_array();
  json.begin_array("classes");
  for (const class_fragments& one : process.classes) write_class(json, one);
  json.end_array();
  write_spans(json, record.heap_map->spans);
  json.end_object();
}

}  // namespace

std::string fragmentation_text(const fragmentation_report& report, const fragmentation_view& view,
                               const palette& paint) {
  std::string text = fmt::format("{}Fragmentation{}  {}\n", paint.bold, paint.reset, view.subject);
  if (!view.selected.empty()) text += fmt::format("  call sites of blocks {} only\n", view.selected);
  for (const std::string& note : report.notes) text += fmt::format("  {}{}.{}\n", paint.warning, note, paint.reset);
  std::size_t small = 0;
  std::size_t replaced = 0;
  for (const fragmented_process& one : report.processes) {
    if (!view.shows_all && became_another(one))
      ++replaced;
    else if (is_worth_showing(report, one, view))
      text += process_text(one, view, paint);
    else
      ++small;
  }
  text += left_out_text(small);
  if (replaced != 0)
    text +=
        fmt::format("\n  and {} that became another program and could not be looked at; --all shows them\n", replaced);
  return text;
}

std::string fragmentation_json(const fragmentation_report& report, const fragmentation_view& view) {
  json_writer json;
  json.begin_object();
  json.member("schema", "tenure.fragmentation/1");
  json.member("subject", view.subject);
  json.member("selected", view.selected);
  write_notes(json, report.notes);
  json.begin_array("processes");
  for (const fragmented_process& one : report.processes) write_process(json, one);
  json.end_array();
  json.end_object();
  return json.text();
}

}  // namespace tenure::cli
