// Boost.JSON is known to this file alone, which also compiles it.
#include "instruments/cli/report_json.h"

#include <algorithm>
#include <boost/json/src.hpp>
#include <cmath>

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/ledger.h"
#include "instruments/analyze/losses.h"
#include "instruments/analyze/memory_parts.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_text.h"
#include "instruments/cli/report_unwatched.h"
#include "instruments/cli/version.h"

namespace tenure::cli {
namespace {

namespace json = boost::json;
using analyze::amount;
using analyze::call_site;
using analyze::estimate;
using analyze::process_profile;

// JSON is UTF-8; what the program calls itself need not be.
std::string valid_text(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    bool is_valid = length != 0 && at + length <= text.size();
    for (std::size_t next = 1; is_valid && next < length; ++next)
      is_valid = (static_cast<unsigned char>(text[at + next]) & 0xc0) == 0x80;
    if (is_valid && length == 3) {
      const auto second = static_cast<unsigned char>(text[at + 1]);
      is_valid = !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second >= 0xa0);
    }
    if (is_valid && length == 4) {
      const auto second = static_cast<unsigned char>(text[at + 1]);
      is_valid = !(lead == 0xf0 && second < 0x90) && !(lead == 0xf4 && second >= 0x90);
    }
    result += is_valid ? std::string(text.substr(at, length)) : "\xef\xbf\xbd";
    at += is_valid ? length : 1;
  }
  return result;
}

std::int64_t whole(double value) { return std::llround(value); }

json::object estimate_json(const estimate& of) {
  return {{"value", whole(of.value)}, {"standard_error", whole(of.standard_error())}};
}

json::object amount_json(const amount& of) {
  return {{"bytes", estimate_json(of.bytes)},
          {"usable_bytes", estimate_json(of.usable_bytes)},
          {"blocks", estimate_json(of.blocks)},
          {"samples", of.samples}};
}

json::value optional_json(const std::optional<std::uint64_t>& of) {
  return of ? json::value(*of) : json::value(nullptr);
}

json::object lifetimes_json(const analyze::lifetime_summary& of) {
  json::array histogram;
  for (std::size_t bucket = 0; bucket < of.freed_bytes_by_log2_ns.size(); ++bucket)
    if (of.freed_bytes_by_log2_ns[bucket] > 0)
      histogram.push_back(json::object{{"from_ns", bucket == 0 ? 0 : std::uint64_t{1} << bucket},
                                       {"freed_bytes", whole(of.freed_bytes_by_log2_ns[bucket])}});
  return {{"quartile_ns", optional_json(of.quartile_ns)},
          {"median_ns", optional_json(of.median_ns)},
          {"third_quartile_ns", optional_json(of.third_quartile_ns)},
          {"ninth_decile_ns", optional_json(of.ninth_decile_ns)},
          {"histogram", std::move(histogram)},
          {"freed", amount_json(of.freed)},
          {"never_freed", amount_json(of.never_freed)},
          {"freed_by_other_thread_bytes", whole(of.freed_by_other_thread_bytes)}};
}

json::object frame_json(const analyze::frame& of) {
  json::object result{{"function", valid_text(of.function)}};
  if (!of.file.empty()) {
    result["file"] = valid_text(of.file);
    result["line"] = of.line;
  }
  if (of.is_inlined) result["inlined"] = true;
  return result;
}

json::array chain_json(const std::vector<analyze::frame>& of) {
  json::array result;
  for (const analyze::frame& one : of) result.push_back(frame_json(one));
  return result;
}

json::object group_json(const analyze::site_group& of) {
  json::object result{{"name", valid_text(of.name)},
                      {"stacks", of.stack_count},
                      {"allocated", amount_json(of.totals.allocated)},
                      {"live_at_peak", amount_json(of.totals.live_at_peak)},
                      {"live_at_exit", amount_json(of.totals.live_at_exit)},
                      {"lifetimes", lifetimes_json(of.totals.lifetimes)}};
  if (!of.chain.empty()) result["chain"] = chain_json(of.chain);
  if (!of.freed_by.empty()) {
    json::array freed_by;
    for (const analyze::freeing_function& one : of.freed_by)
      freed_by.push_back(json::object{
          {"function", valid_text(one.name)}, {"freed_bytes", whole(one.bytes)}, {"chain", chain_json(one.chain)}});
    result["freed_by"] = std::move(freed_by);
  }
  return result;
}

json::object groups_json(const std::vector<analyze::site_group>& groups, std::size_t limit) {
  json::array shown;
  for (std::size_t index = 0; index < std::min(limit, groups.size()); ++index)
    shown.push_back(group_json(groups[index]));
  return {{"count", groups.size()}, {"sites", std::move(shown)}};
}

json::value memory_json(const std::optional<analyze::memory_breakdown>& of, std::uint64_t start_ns) {
  if (!of) return nullptr;
  json::array parts;
  for (const analyze::memory_part& part : of->parts) {
    json::array details;
    for (const analyze::memory_part& detail : part.details)
      details.push_back(json::object{{"name", valid_text(detail.name)}, {"resident_bytes", detail.resident_bytes}});
    json::object one{{"kind", analyze::code_of(part.kind)}, {"resident_bytes", part.resident_bytes}};
    if (part.sampled) one["sampled"] = estimate_json(*part.sampled);
    if (!details.empty()) one["largest"] = std::move(details);
    parts.push_back(std::move(one));
  }
  return json::object{{"time_ns", of->time_ns > start_ns ? of->time_ns - start_ns : 0},
                      {"resident_bytes", of->resident_bytes},
                      {"swapped_bytes", of->swapped_bytes},
                      {"heap_resident_bytes", of->heap_resident_bytes},
                      {"follows_frees", of->follows_frees},
                      {"parts", std::move(parts)}};
}

json::array timeline_json(const process_profile& of) {
  json::array result;
  for (const analyze::timeline_point& point : of.timeline)
    result.push_back(json::array{point.time_ns > of.record.start_ns ? point.time_ns - of.record.start_ns : 0,
                                 point.resident_bytes, whole(point.live_bytes)});
  return result;
}

const char* end_code(collect::process_end end) {
  switch (end) {
    case collect::process_end::running:
      return "running";
    case collect::process_end::exited:
      return "exited";
    case collect::process_end::replaced:
      return "replaced";
    case collect::process_end::vanished:
      return "vanished";
    case collect::process_end::killed:
      return "killed";
    case collect::process_end::left:
      return "left";
    case collect::process_end::unwatched:
      return "unwatched";
  }
  return "";
}

json::value malloc_json(wire::malloc_owner owner) {
  if (owner == wire::malloc_owner::unknown) return nullptr;
  return owner == wire::malloc_owner::tenure ? "tenure" : "other";
}

json::object identity_json(const process_profile& of) {
  const collect::process_record& record = of.record;
  json::array command;
  for (const std::string& word : record.command_line) command.push_back(json::value(valid_text(word)));
  return {{"pid", record.pid},
          {"parent_pid", record.parent_pid},
          {"origin", std::string(origin_code(record.origin))},
          {"malloc", malloc_json(record.malloc_owner)},
          {"end", end_code(record.end)},
          {"executable", valid_text(record.executable)},
          {"command", std::move(command)},
          {"start_realtime_ns", record.start_realtime_ns},
          {"duration_ns", record.end_ns > record.start_ns ? record.end_ns - record.start_ns : 0}};
}

json::array unwatched_json(const collect::recording& run) {
  json::array result;
  for (const collect::unwatched_program& one : run.unwatched)
    result.push_back(json::object{{"pid", one.pid},
                                  {"executable", valid_text(one.executable)},
                                  {"reason", why_unwatched(one.executable).code},
                                  {"peak_resident_bytes", one.peak_resident_bytes},
                                  {"first_seen_ns", one.first_seen_ns - run.start_ns},
                                  {"last_seen_ns", one.last_seen_ns - run.start_ns}});
  return result;
}

json::object sampling_json(const collect::process_record& of) {
  const analyze::interval_range range = analyze::intervals_of(of.samples);
  return {{"interval_bytes", of.sample_interval_bytes},
          {"least_interval_bytes", range.least_bytes},
          {"greatest_interval_bytes", range.greatest_bytes},
          {"mean_interval_bytes", range.mean_bytes},
          {"samples", of.samples.size()},
          {"dropped_events", of.dropped_events},
          {"dropped_bytes", of.dropped_bytes},
          {"lost_bytes", of.lost_bytes},
          {"refused_events", of.refused_events},
          {"unmatched_frees", of.unmatched_frees}};
}

json::value bounds_json(const std::optional<analyze::live_bounds>& of) {
  if (!of) return nullptr;
  return json::object{{"peak_bytes", of->peak_bytes},
                      {"exit_bytes", of->exit_bytes},
                      {"applies_at_peak", of->applies_at_peak},
                      {"applies_at_exit", of->applies_at_exit}};
}

json::array losses_json(const collect::process_record& record, const collect::tape_losses& lost) {
  json::array result;
  for (const analyze::thread_loss& one : analyze::losses_by_thread(record, lost)) {
    json::object row{{"allocations", one.allocations}, {"bytes", one.bytes}, {"frees", one.frees}};
    if (one.thread) {
      row["thread"] = one.thread->id;
      row["name"] = valid_text(one.thread->name);
    }
    result.push_back(std::move(row));
  }
  return result;
}

json::object recording_json(const collect::process_record& record, const analyze::full_account& of) {
  return {{"events", of.events},
          {"is_complete", of.is_complete},
          {"stray_frees", of.stray_frees},
          {"lost_allocations", of.losses.allocations},
          {"lost_bytes", of.losses.bytes},
          {"lost_frees", of.losses.frees},
          {"lost_by_thread", losses_json(record, of.losses)},
          {"lost_frames", of.losses.frames},
          {"refused_records", of.losses.refused_records},
          {"is_corrupt", of.losses.is_corrupt},
          {"waits", of.losses.waits},
          {"wait_ns", of.losses.wait_ns}};
}

json::value limit_json(std::uint64_t bytes) {
  return bytes == wire::no_limit ? json::value(nullptr) : json::value(bytes);
}

json::object contents_json(const std::vector<analyze::content_group>& groups, std::size_t limit) {
  json::array shown;
  for (std::size_t index = 0; index < std::min(limit, groups.size()); ++index) {
    const analyze::content_group& one = groups[index];
    json::object row{{"name", valid_text(one.name)},
                     {"objects", estimate_json(one.live.blocks)},
                     {"bytes", estimate_json(one.live.bytes)},
                     {"samples", one.live.samples}};
    if (!one.chain.empty()) row["chain"] = chain_json(one.chain);
    shown.push_back(std::move(row));
  }
  return {{"count", groups.size()}, {"groups", std::move(shown)}};
}

json::object account_json(const process_profile& of, const collect::account& one, std::size_t site_limit) {
  const auto& accounts = of.record.accounts;
  const auto above = std::find_if(accounts.begin(), accounts.end(),
                                  [&](const collect::account& other) { return other.record == one.parent; });
  const auto at_peak = analyze::account_at_peak(of, one);
  const auto then = [&](std::uint64_t collect::account::*figure) {
    return at_peak ? json::value((*at_peak).*figure) : json::value(nullptr);
  };
  json::object result{
      {"name", valid_text(one.name)},
      {"kind", valid_text(one.kind)},
      {"parent", above == accounts.end() ? json::value(nullptr) : json::value(above - accounts.begin())},
      {"open", one.is_open},
      {"openings", one.openings},
      {"held_bytes", one.held_bytes},
      {"held_blocks", one.held_blocks},
      {"peak_held_bytes", one.peak_held_bytes},
      {"held_at_peak_bytes", then(&collect::account::held_bytes)},
      {"soft_limit_bytes", limit_json(one.soft_limit_bytes)},
      {"hard_limit_bytes", limit_json(one.hard_limit_bytes)},
      {"refusals", one.refusals}};
  if (one.publishes_use)
    result["use"] = json::object{{"used_bytes", one.used_bytes},
                                 {"used_blocks", one.used_blocks},
                                 {"peak_used_bytes", one.peak_used_bytes},
                                 {"used_at_peak_bytes", then(&collect::account::used_bytes)},
                                 {"allocations", one.allocations}};
  const auto contents = std::find_if(of.contents.begin(), of.contents.end(),
                                     [&](const analyze::account_contents& each) { return each.account == one.record; });
  if (contents != of.contents.end())
    result["live_objects"] = json::object{{"by_type", contents_json(contents->by_type, site_limit)},
                                          {"by_site", contents_json(contents->by_site, site_limit)}};
  return result;
}

json::object accounts_json(const process_profile& of, std::size_t site_limit) {
  json::array all;
  for (const collect::account& one : of.record.accounts) all.push_back(account_json(of, one, site_limit));
  return {{"refused", of.record.refused_accounts},
          {"refused_contents", of.record.refused_contents},
          {"accounts", std::move(all)}};
}

json::object process_json(const process_profile& of, std::size_t site_limit) {
  const collect::process_record& record = of.record;
  const auto since_start = [&](std::uint64_t time_ns) {
    return time_ns > record.start_ns ? time_ns - record.start_ns : 0;
  };
  json::array findings;
  for (const analyze::finding& one : of.findings)
    findings.push_back(json::object{{"code", one.code}, {"text", valid_text(one.text)}});
  json::object result = identity_json(of);
  result["peak_resident_bytes"] = of.peak_resident_bytes;
  result["peak_resident_time_ns"] = since_start(of.peak_resident_time_ns);
  result["live_peak_time_ns"] = since_start(of.live_peak_time_ns);
  result["allocated"] = amount_json(of.allocated);
  result["inherited"] = amount_json(of.inherited);
  result["inherited_freed"] = amount_json(of.inherited_freed);
  result["live_at_peak"] = amount_json(of.live_at_peak);
  result["live_at_exit"] = amount_json(of.live_at_exit);
  result["live_bounds"] = bounds_json(of.bounds);
  result["lifetimes"] = lifetimes_json(of.lifetimes);
  result["sampling"] = sampling_json(record);
  if (of.full) result["recording"] = recording_json(record, *of.full);
  result["memory_at_peak"] = memory_json(of.memory_at_peak, record.start_ns);
  result["memory_at_exit"] = memory_json(of.memory_at_exit, record.start_ns);
  result["ledger"] = accounts_json(of, site_limit);
  result["by_function"] = groups_json(of.by_function, site_limit);
  result["by_line"] = groups_json(of.by_line, site_limit);
  result["by_module"] = groups_json(of.by_module, site_limit);
  result["by_thread"] = groups_json(of.by_thread, site_limit);
  result["findings"] = std::move(findings);
  result["timeline"] = timeline_json(of);
  result["overhead"] = json::object{{"time_ns", record.overhead_ns},
                                    {"private_bytes", record.overhead_bytes},
                                    {"shared_resident_bytes", record.region_resident_bytes}};
  return result;
}

json::array strings_json(const std::vector<std::string>& strings) {
  json::array result;
  for (const std::string& one : strings) result.push_back(json::value(valid_text(one)));
  return result;
}

}  // namespace

std::string report_json(const analyze::profile& profile, std::size_t site_limit) {
  const collect::recording& run = profile.run;
  json::array processes;
  for (const process_profile& one : profile.processes) processes.push_back(process_json(one, site_limit));
  const bool is_attached = run.attached_pid != 0;  // then its end was not waited for
  const bool has_main = profile.main_process != analyze::no_index;
  const bool is_engaged =
      has_main && profile.processes[profile.main_process].record.malloc_owner != wire::malloc_owner::other;
  const json::object document{
      {"schema", report_schema},
      {"tenure_version", version_number()},
      {"run",
       {{"pid", run.child_pid},
        {"attached", is_attached},
        {"exit_code", is_attached ? json::value(nullptr) : json::value(run.exit_code)},
        {"exit_signal", run.exit_signal == 0 ? json::value(nullptr) : json::value(run.exit_signal)},
        {"duration_ns", run.end_ns - run.start_ns},
        {"processor_ns", run.child_processor_ns},
        {"kernel_peak_resident_bytes",
         run.kernel_peak_resident_bytes == 0 ? json::value(nullptr) : json::value(run.kernel_peak_resident_bytes)},
        {"engaged", is_engaged},
        {"main_process", has_main ? json::value(profile.main_process) : json::value(nullptr)}}},
      {"processes", std::move(processes)},
      {"unwatched", unwatched_json(run)},
      {"collector",
       {{"processor_ns", run.cost.processor_ns},
        {"wake_ups", run.cost.wake_ups},
        {"smaps_reads", run.cost.smaps_reads},
        {"smaps_ns", run.cost.smaps_ns}}},
      {"notes", strings_json(run.notes)},
      {"symbol_notes", strings_json(profile.symbol_notes)}};
  return json::serialize(document) + "\n";
}

}  // namespace tenure::cli
