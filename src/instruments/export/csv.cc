#include "instruments/export/csv.h"

#include <fmt/format.h>

#include <unordered_map>

namespace tenure::exporting {
namespace {

constexpr std::string_view column_names =
    "pid,program,function,allocated_blocks,allocated_bytes,freed_blocks,freed_bytes,freed_by_another_thread_blocks,"
    "freed_by_another_thread_bytes,moment_blocks,moment_bytes,never_freed_blocks,never_freed_bytes,own_peak_blocks,"
    "own_peak_bytes,lifetime_ns,frees_blocks,frees_bytes,stack\r\n";

std::string field(std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) return std::string(text);
  std::string result = "\"";
  for (const char byte : text) {
    if (byte == '"') result += byte;
    result += byte;
  }
  return result + "\"";
}

}  // namespace

std::string write_csv(const analyze::exact_report& report) {
  std::string text(column_names);
  // What an imported recording does not tell is left empty.
  const auto knows = [&](std::uint64_t what) { return !report.source || (report.source->gaps & what) == 0; };
  for (const analyze::exact_process& process : report.processes) {
    const collect::process_record& record = process.profile.record;
    const std::string program = field(record.executable.substr(record.executable.rfind('/') + 1));
    std::unordered_map<std::uint32_t, analyze::exact_amount> frees;
    for (const analyze::exact_free& one : process.frees) frees[one.stack] = one.amount;
    const auto write_row = [&](const analyze::exact_site& site, const std::string& function) {
      text += fmt::format("{},{},{}", record.pid, program, field(function));
      const auto add_where = [&](const analyze::exact_amount& amount, bool is_known) {
        text += is_known ? fmt::format(",{},{}", amount.blocks, amount.bytes) : std::string(",,");
      };
      const auto add = [&](const analyze::exact_amount& amount, std::uint64_t needed) {
        add_where(amount, knows(needed));
      };
      add(site.allocated, collect::gap_allocated);
      add(site.freed, collect::gap_times);
      add(site.freed_elsewhere, collect::gap_threads);
      add(site.at_moment, 0);
      add(site.at_end, collect::gap_times);
      add(site.peak, collect::gap_times);
      text += "," + (knows(collect::gap_times) ? std::to_string(site.lifetime_ns) : std::string());
      add_where(frees[site.stack], !process.frees.empty());
      text += "," + field(folded_stack(process.profile, site.stack)) + "\r\n";
      frees.erase(site.stack);
    };
    for (const analyze::exact_site& site : process.sites) write_row(site, process.by_function[site.function].name);
    // Stacks that only free.
    for (const analyze::exact_free& one : process.frees) {
      if (!frees.contains(one.stack)) continue;
      analyze::exact_site nothing;
      nothing.stack = one.stack;
      write_row(nothing, one.function);
    }
  }
  return text;
}

}  // namespace tenure::exporting
