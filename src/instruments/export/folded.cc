#include "instruments/export/folded.h"

#include <fmt/format.h>

#include <map>

namespace tenure::exporting {

std::string write_folded(const analyze::exact_report& report, exact_measure by, bool in_blocks) {
  std::map<std::string, std::uint64_t> lines;
  for (const analyze::exact_process& process : report.processes) {
    const std::string root = report.processes.size() > 1 ? process_name(process.profile) + ";" : "";
    for (const analyze::exact_site& site : process.sites) {
      const analyze::exact_amount& amount = measure_of(site, by);
      if (amount.blocks != 0)
        lines[root + folded_stack(process.profile, site.stack)] += in_blocks ? amount.blocks : amount.bytes;
    }
  }
  std::string text;
  for (const auto& [stack, value] : lines) text += fmt::format("{} {}\n", stack, value);
  return text;
}

}  // namespace tenure::exporting
