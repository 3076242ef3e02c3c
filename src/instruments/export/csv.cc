#include "instruments/export/csv.h"

#include <fmt/format.h>

namespace tenure::exporting {
namespace {

constexpr std::string_view head =
    "pid,program,function,allocated_blocks,allocated_bytes,freed_blocks,freed_bytes,freed_by_another_thread_blocks,"
    "freed_by_another_thread_bytes,moment_blocks,moment_bytes,never_freed_blocks,never_freed_bytes,own_peak_blocks,"
    "own_peak_bytes,lifetime_ns,stack\r\n";

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
  std::string text(head);
  // What an imported recording does not tell is left empty.
  const auto knows = [&](std::uint64_t what) { return !report.source || (report.source->gaps & what) == 0; };
  for (const analyze::exact_process& process : report.processes) {
    const collect::process_record& record = process.profile.record;
    const std::string program = field(record.executable.substr(record.executable.rfind('/') + 1));
    for (const analyze::exact_site& site : process.sites) {
      text += fmt::format("{},{},{}", record.pid, program, field(process.by_function[site.function].name));
      const auto add = [&](const analyze::exact_amount& amount, std::uint64_t needed) {
        text += knows(needed) ? fmt::format(",{},{}", amount.blocks, amount.bytes) : std::string(",,");
      };
      add(site.allocated, collect::gap_allocated);
      add(site.freed, collect::gap_times);
      add(site.freed_elsewhere, collect::gap_threads);
      add(site.at_moment, 0);
      add(site.at_end, collect::gap_times);
      add(site.peak, collect::gap_times);
      text += "," + (knows(collect::gap_times) ? std::to_string(site.lifetime_ns) : std::string());
      text += "," + field(folded_stack(process.profile, site.stack)) + "\r\n";
    }
  }
  return text;
}

}  // namespace tenure::exporting
