#include "instruments/cli/memory_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "instruments/analyze/format.h"
#include "instruments/analyze/memory_parts.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {
namespace {

std::uint64_t since(std::uint64_t time_ns, std::uint64_t start_ns) { return time_ns - std::min(time_ns, start_ns); }

std::string note_of(const analyze::memory_part& part) {
  std::string note = part.sampled ? "counted" : "";
  for (const analyze::memory_part& detail : part.details)
    note += fmt::format("{}{} {}", note.empty() ? "" : ", ", detail.name, size_of(detail.resident_bytes));
  return note;
}

}  // namespace

std::string memory_text(const analyze::memory_breakdown& memory, std::uint64_t start_ns, const palette& paint,
                        int columns) {
  const double whole = static_cast<double>(std::max<std::uint64_t>(memory.resident_bytes, 1));
  std::vector<table_row> rows;
  for (const analyze::memory_part& part : memory.parts)
    rows.push_back({{part.name, size_of(part.resident_bytes),
                     analyze::format_share(static_cast<double>(part.resident_bytes) / whole), note_of(part)},
                    ""});
  rows.push_back({{"resident", size_of(memory.resident_bytes), "100%", ""}, ""});
  return fmt::format("\n{}Where it lives{}  all that was resident after {}\n", paint.bold, paint.reset,
                     analyze::format_duration(since(memory.time_ns, start_ns))) +
         format_table({{"", true}, {"resident"}, {"share"}, {"", true}}, rows, paint, columns);
}

void write_memory(json_writer& json, const std::optional<analyze::memory_breakdown>& memory, std::uint64_t start_ns) {
  if (!memory) return json.null("memory");
  const auto figure = [&](const char* name, std::uint64_t value) {
    json.member(name, static_cast<std::int64_t>(value));
  };
  json.begin_object("memory");
  figure("time_ns", since(memory->time_ns, start_ns));
  figure("resident_bytes", memory->resident_bytes);
  figure("swapped_bytes", memory->swapped_bytes);
  figure("heap_resident_bytes", memory->heap_resident_bytes);
  json.begin_array("parts");
  for (const analyze::memory_part& part : memory->parts) {
    json.begin_object();
    json.member("kind", analyze::code_of(part.kind));
    figure("resident_bytes", part.resident_bytes);
    // What was alive, whether or not all of it was resident.
    if (part.sampled) figure("counted_bytes", static_cast<std::uint64_t>(part.sampled->value));
    json.begin_array("largest");
    for (const analyze::memory_part& detail : part.details) {
      json.begin_object();
      json.member("name", detail.name);
      figure("resident_bytes", detail.resident_bytes);
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

}  // namespace tenure::cli
