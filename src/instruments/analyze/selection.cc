#include "instruments/analyze/selection.h"

#include <fmt/format.h>

#include <algorithm>

#include "instruments/analyze/format.h"

namespace tenure::analyze {
namespace {

constexpr char any = '*';

// Each part between two `*` is looked for behind the one before; the first and the last are held to the ends.
bool fits_whole(std::string_view pattern, std::string_view text) {
  const std::size_t first = pattern.find(any);
  const std::size_t last = pattern.rfind(any);
  const std::string_view head = pattern.substr(0, first), tail = pattern.substr(last + 1);
  if (text.size() < head.size() + tail.size() || !text.starts_with(head) || !text.ends_with(tail)) return false;
  text = text.substr(head.size(), text.size() - head.size() - tail.size());
  for (std::size_t at = first; at < last;) {
    const std::size_t next = pattern.find(any, at + 1);
    const std::string_view part = pattern.substr(at + 1, next - at - 1);
    const std::size_t found = text.find(part);
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + part.size());
    at = next;
  }
  return true;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string window_text(const selection& of) {
  if (of.end_ns == no_end) return fmt::format("from {} on", format_duration(of.begin_ns));
  if (of.begin_ns == 0) return fmt::format("before {}", format_duration(of.end_ns));
  return fmt::format("from {} to {}", format_duration(of.begin_ns), format_duration(of.end_ns));
}

std::string size_text(const selection& of) {
  if (of.least_bytes == of.most_bytes) return fmt::format("in blocks of {} bytes", of.least_bytes);
  if (of.most_bytes == no_end) return fmt::format("in blocks of {} bytes or more", of.least_bytes);
  return fmt::format("in blocks of {} to {} bytes", of.least_bytes, of.most_bytes);
}

}  // namespace

bool selection::chooses_blocks() const {
  return has_window() || !thread.empty() || !module.empty() || !function.empty() || least_bytes != 0 ||
         most_bytes != no_end;
}

std::string describe(const selection& selected) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "allocated " : ", ") + part; };
  if (selected.has_window()) add(window_text(selected));
  if (selected.process != no_index) add(fmt::format("by process {}", selected.process));
  if (!selected.thread.empty()) add(fmt::format("by thread '{}'", selected.thread));
  if (!selected.module.empty()) add(fmt::format("from module '{}'", selected.module));
  if (!selected.function.empty()) add(fmt::format("on behalf of '{}'", selected.function));
  if (selected.least_bytes != 0 || selected.most_bytes != no_end) add(size_text(selected));
  return text;
}

bool fits(std::string_view pattern, std::string_view text) {
  return pattern.find(any) == std::string_view::npos ? text.find(pattern) != std::string_view::npos
                                                     : fits_whole(pattern, text);
}

selector::selector(const selection& selected, const process_profile& of, frame_resolver& frames)
    : selected_(selected),
      profile_(of),
      frames_(frames),
      takes_process_(selected.process == no_index || selected.process == of.record.pid),
      takes_all_(selected.thread.empty() && selected.module.empty() && selected.function.empty()) {}

bool selector::takes_site(std::uint32_t stack, std::uint32_t thread) {
  const auto ask = [](std::vector<verdict>& verdicts, std::uint32_t of, auto&& judge) {
    if (of >= verdicts.size()) verdicts.resize(of + 1, verdict::open);
    if (verdicts[of] == verdict::open) verdicts[of] = judge() ? verdict::yes : verdict::no;
    return verdicts[of] == verdict::yes;
  };
  return ask(threads_, thread, [&] { return judge_thread(thread); }) &&
         ask(stacks_, stack, [&] { return judge_stack(stack); });
}

bool selector::judge_thread(std::uint32_t thread) const {
  if (selected_.thread.empty()) return true;
  if (thread >= profile_.record.threads.size()) return false;
  const collect::thread& of = profile_.record.threads[thread];
  return is_number(selected_.thread) ? std::to_string(of.id) == selected_.thread : fits(selected_.thread, of.name);
}

bool selector::judge_stack(std::uint32_t stack) {
  if (!selected_.module.empty()) {
    const auto chain = frames_.user_chain(stack, 1);
    if (chain.empty() || !fits(selected_.module, module_label(profile_, chain[0].module))) return false;
  }
  if (selected_.function.empty()) return true;
  if (stack >= profile_.record.stacks.size()) return false;
  const std::vector<std::uint32_t>& locations = profile_.record.stacks[stack].locations;
  return std::any_of(locations.begin(), locations.end(), [&](std::uint32_t location) {
    const std::vector<frame>& frames = frames_.at(location);
    return std::any_of(frames.begin(), frames.end(),
                       [&](const frame& one) { return fits(selected_.function, one.function); });
  });
}

}  // namespace tenure::analyze
