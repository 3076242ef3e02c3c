#include "instruments/export/exact_stacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace tenure::exporting {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

// Length of the UTF-8 sequence at `at`; 0 when there is none. Overlong forms and surrogates are none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  const unsigned char second = byte(at + 1);
  const bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool is_beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return is_overlong || is_beyond ? 0 : length;
}

}  // namespace

const std::string& measure_names::of(exact_measure by) const {
  static const std::string allocated = "allocated", freed = "freed here";
  if (by == exact_measure::allocated) return allocated;
  if (by == exact_measure::freed) return freed;
  return by == exact_measure::at_moment ? at_moment : at_end;
}

bool is_heap(const collect::module& of) {
  return std::string_view(of.path).substr(of.path.rfind('/') + 1).starts_with("libtenure");
}

std::vector<stack_frame> frames_of(const analyze::process_profile& process, std::uint32_t stack) {
  std::vector<stack_frame> result;
  if (stack >= process.record.stacks.size()) return result;
  for (const std::uint32_t location : process.record.stacks[stack].locations) {
    const std::uint32_t module = process.record.locations[location].module;
    if (module != analyze::no_index && is_heap(process.record.modules[module])) continue;
    for (const analyze::frame& one : process.frames[location]) result.push_back({&one, location});
  }
  return result;
}

bool is_cut_off(const analyze::process_profile& process, std::uint32_t stack) {
  return stack < process.record.stacks.size() && process.record.stacks[stack].end == collect::stack_end::limit;
}

std::string folded_stack(const analyze::process_profile& process, std::uint32_t stack) {
  const std::vector<stack_frame> frames = frames_of(process, stack);
  std::string text(is_cut_off(process, stack) ? more_frames : "");
  for (auto one = frames.rbegin(); one != frames.rend(); ++one) {
    if (!text.empty()) text += ';';
    for (const char byte : one->what->function) text += byte == ';' ? ',' : byte == '\n' ? ' ' : byte;
  }
  return text.empty() ? std::string(no_frames) : text;
}

std::string process_name(const analyze::process_profile& process) {
  const std::string& path = process.record.executable;
  return fmt::format("{} ({})", path.substr(path.rfind('/') + 1), process.record.pid);
}

std::uint32_t main_process_of(const analyze::exact_report& report) {
  std::uint32_t result = report.processes.empty() ? analyze::no_index : 0;
  for (std::uint32_t i = 0; i < report.processes.size(); ++i)
    if (report.processes[i].profile.record.pid == report.run.child_pid) result = i;
  return result;
}

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char byte = text[at];
    const std::size_t length = sequence_length(text, at);
    if (length == 0) {
      to += replacement;
    } else if (byte == '"' || byte == '\\') {
      (to += '\\') += byte;
    } else if (static_cast<unsigned char>(byte) < 0x20) {
      to += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      to += text.substr(at, length);
    }
    at += std::max<std::size_t>(length, 1);
  }
  to += '"';
}

std::string json_string(std::string_view text) {
  std::string result;
  append_json_string(result, text);
  return result;
}

}  // namespace tenure::exporting
