#include "instruments/cli/fragmentation_shape.h"

#include <fmt/format.h>

#include "instruments/analyze/format.h"
#include "instruments/cli/recording_parts.h"

namespace tenure::cli {

std::string share_text(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "" : analyze::format_share(static_cast<double>(part) / static_cast<double>(whole));
}

std::string parts_text(std::span<const heap_part> parts, std::uint64_t whole) {
  std::string text;
  for (const heap_part& one : parts)
    if (one.bytes != 0)
      text += fmt::format("  {:>10} {:>5}  {}\n", size_of(one.bytes), share_text(one.bytes, whole), one.text);
  return text;
}

std::string left_out_text(std::size_t processes) {
  if (processes == 0) return "";
  return fmt::format("\n  and {} smaller process{}; --all shows them\n", processes, processes == 1 ? "" : "es");
}

void write_number(json_writer& json, std::string_view name, std::uint64_t value) {
  json.member(name, static_cast<std::int64_t>(value));
}

void write_parts(json_writer& json, std::span<const heap_part> parts) {
  json.begin_object("parts");
  for (const heap_part& one : parts) write_number(json, fmt::format("{}_bytes", one.code), one.bytes);
  json.end_object();
}

}  // namespace tenure::cli
