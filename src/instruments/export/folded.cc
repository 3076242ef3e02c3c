#include "instruments/export/folded.h"

#include <fmt/format.h>

#include <map>

namespace tenure::exporting {

std::string write_folded(const analyze::exact_report& report, exact_measure by, bool in_blocks) {
  std::map<std::string, std::uint64_t> lines;
  for (const analyze::exact_process& process : report.processes) {
    const std::string root = report.processes.size() > 1 ? process_name(process.profile) + ";" : "";
    for_each_stack(process, by, [&](std::uint32_t stack, const analyze::exact_amount& amount) {
      lines[root + folded_stack(process.profile, stack)] += in_blocks ? amount.blocks : amount.bytes;
    });
  }
  std::string text;
  for (const auto& [stack, value] : lines) text += fmt::format("{} {}\n", stack, value);
  return text;
}

}  // namespace tenure::exporting
