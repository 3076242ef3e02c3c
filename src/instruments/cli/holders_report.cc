#include "instruments/cli/holders_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "instruments/analyze/format.h"
#include "instruments/cli/recording_parts.h"
#include "instruments/cli/report_table.h"

namespace tenure::cli {
namespace {

using analyze::held_site;
using analyze::holding;
using analyze::holding_root;
using analyze::holding_step;

constexpr std::size_t shown_holdings = 3;
// The beginning of a way says who holds, its end what is held.
constexpr std::size_t shown_first_steps = 12, shown_last_steps = 6;

const char* kind_name(wire::root_kind kind) {
  switch (kind) {
    case wire::root_kind::memory:
      return "memory";
    case wire::root_kind::thread_storage:
      return "thread_local";
    case wire::root_kind::stack:
      return "stack";
    case wire::root_kind::registers:
      return "register";
  }
  return "memory";
}

std::string thread_text(const holding_root& root) {
  return root.thread_name.empty() ? fmt::format("thread {}", root.thread)
                                  : fmt::format("thread {} ({})", root.thread, root.thread_name);
}

std::string variable_text(const holding_root& root) {
  if (root.module.empty()) return root.name;
  return fmt::format("{} of {}", root.name, root.module.substr(root.module.rfind('/') + 1));
}

std::string root_text(const holding_root& root) {
  if (!root.is_known) return fmt::format("memory at {:#x}", root.address);
  switch (root.kind) {
    case wire::root_kind::memory:
      return root.name.empty() ? fmt::format("memory at {:#x}", root.address) : variable_text(root);
    case wire::root_kind::thread_storage:
      return root.name.empty() ? fmt::format("thread-local storage of {}", thread_text(root))
                               : fmt::format("{}, thread-local, of {}", variable_text(root), thread_text(root));
    case wire::root_kind::stack:
      return fmt::format("the stack of {}", thread_text(root));
    case wire::root_kind::registers:
      return fmt::format("a register of {}", thread_text(root));
  }
  return "";
}

std::string step_text(const holding_step& step, std::uint64_t offset, bool has_offset, int columns, bool is_recorded) {
  const std::string from = has_offset ? fmt::format("+{}", offset) : "";
  std::string text = fmt::format("      {:>6} -> {}", from, size_of(step.bytes));
  if (step.inside != 0) text += fmt::format(", {} bytes into it", step.inside);
  if (step.repeats != 0) text += fmt::format(", and {} more, one from the other", step.repeats);
  text += "  ";
  const int room = std::max(columns - display_columns(text), 20);
  if (step.place.function.empty())
    return text +
           (step.stack != analyze::no_index ? "[no names]"
            : is_recorded                   ? "[not recorded]"
                                            : "[not sampled]") +
           "\n";
  const std::string place =
      step.place.file.empty() || step.place.line == 0
          ? ""
          : fmt::format("  {}:{}", step.place.file.substr(step.place.file.rfind('/') + 1), step.place.line);
  return text + shorten_function(step.place.function, std::max(room - display_columns(place), 20)) + place + "\n";
}

std::string holding_text(const holding& held, const leaks_view& view, bool is_recorded) {
  std::string text = fmt::format("    from {}: {}\n", root_text(held.root), blocks_text(held.held));
  const bool has_offset = held.root.kind != wire::root_kind::registers && held.root.is_known &&
                          (held.root.kind == wire::root_kind::stack || !held.root.name.empty());
  for (std::size_t i = 0; i < held.way.size(); ++i) {
    if (i == shown_first_steps && held.way.size() > shown_first_steps + shown_last_steps + 1) {
      const std::size_t next = held.way.size() - shown_last_steps;
      text += fmt::format("              ... {} more steps\n", next - i);
      i = next;
    }
    const holding_step& step = held.way[i];
    text += step_text(step, i == 0 ? held.root.offset : step.offset, i != 0 || has_offset, view.columns, is_recorded);
  }
  return text;
}

std::string site_text(const held_site& site, const leaks_view& view, const palette& paint, bool is_recorded) {
  std::string text = fmt::format("  {}{}{}", paint.bold, blocks_text(site.held), paint.reset);
  if (!is_recorded && site.sampled.samples != 0)
    text += fmt::format("; they stand for {}", analyze::format_with_error(site.sampled.bytes));
  text += "\n";
  if (site.chain.empty()) text += "      [no names]\n";
  for (const analyze::frame& one : site.chain) text += stack_line(one, view.columns);
  for (std::size_t i = 0; i < site.holdings.size() && i < shown_holdings; ++i)
    text += holding_text(site.holdings[i], view, is_recorded);
  if (site.holdings.size() > shown_holdings)
    text += fmt::format("    and from {} more roots\n", site.holdings.size() - shown_holdings);
  return text;
}

std::string sites_of(const analyze::leak_process& process, wire::block_reach reach, const char* title,
                     const leaks_view& view, const palette& paint) {
  std::string text;
  std::size_t count = 0;
  for (const held_site& site : process.held) {
    if (site.reach != reach) continue;
    if (count++ == 0) text += fmt::format("\n{}{}{}\n", paint.bold, title, paint.reset);
    if (count <= view.top) text += site_text(site, view, paint, process.is_recorded);
  }
  if (count > view.top) text += fmt::format("  and {} more stacks\n", count - view.top);
  return text;
}

void write_root(json_writer& json, const holding_root& root) {
  json.begin_object("root");
  json.member("kind", root.is_known ? kind_name(root.kind) : "unknown");
  if (!root.name.empty()) json.member("name", root.name);
  if (!root.module.empty()) json.member("module", root.module);
  if (root.thread != 0) json.member("thread", static_cast<std::int64_t>(root.thread));
  if (!root.thread_name.empty()) json.member("thread_name", root.thread_name);
  json.member("offset", static_cast<std::int64_t>(root.offset));
  json.member("address", fmt::format("{:#x}", root.address));
  json.end_object();
}

void write_holding(json_writer& json, const holding& held) {
  json.begin_object();
  write_root(json, held.root);
  write_amount(json, "held", held.held);
  json.member("way_blocks", static_cast<std::int64_t>(held.way_blocks));
  json.begin_array("way");
  for (const holding_step& step : held.way) {
    json.begin_object();
    json.member("address", fmt::format("{:#x}", step.address));
    json.member("bytes", static_cast<std::int64_t>(step.bytes));
    json.member("offset", static_cast<std::int64_t>(step.offset));
    json.member("inside", static_cast<std::int64_t>(step.inside));
    json.member("repeats", static_cast<std::int64_t>(step.repeats));
    if (!step.place.function.empty()) {
      json.member("function", step.place.function);
      if (!step.place.file.empty()) json.member("file", step.place.file);
      if (step.place.line != 0) json.member("line", static_cast<std::int64_t>(step.place.line));
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

}  // namespace

std::string blocks_text(const analyze::exact_amount& amount) {
  return fmt::format("{} in {} block{}", size_of(amount.bytes), amount.blocks, amount.blocks == 1 ? "" : "s");
}

std::string stack_line(const analyze::frame& one, int columns) {
  constexpr int indent = 6;
  const std::string place = one.file.empty() || one.line == 0
                                ? ""
                                : fmt::format("  {}:{}", one.file.substr(one.file.rfind('/') + 1), one.line);
  const int room = columns - indent - display_columns(place);
  return fmt::format("{:{}}{}{}\n", "", indent, shorten_function(one.function, std::max(room, 20)), place);
}

std::string holders_text(const analyze::leak_process& process, const leaks_view& view, const palette& paint) {
  if (!view.tells_reachable || !process.scan) return "";
  std::string text;
  if (process.scan->left_out_held != 0)
    text += fmt::format("  {}of {} blocks, the farthest from the roots, it is not told who holds them{}\n",
                        paint.warning, process.scan->left_out_held, paint.reset);
  text +=
      sites_of(process, wire::block_reach::reachable,
               "Reachable  something leads to them; for each root a shortest way to the nearest of them", view, paint);
  return text + sites_of(process, wire::block_reach::possible,
                         "Possible  where the pointers into their inside are found", view, paint);
}

void write_holders(json_writer& json, const analyze::leak_process& process) {
  json.begin_array("held");
  for (const held_site& site : process.held) {
    json.begin_object();
    json.member("kind", site.reach == wire::block_reach::reachable ? "reachable" : "possible");
    json.member("blocks", static_cast<std::int64_t>(site.held.blocks));
    json.member("bytes", static_cast<std::int64_t>(site.held.bytes));
    if (!process.is_recorded && site.sampled.samples != 0) {
      json.number("estimated_bytes", site.sampled.bytes.value);
      json.number("estimated_bytes_error", site.sampled.bytes.standard_error());
    }
    write_stack(json, site.chain);
    json.begin_array("holders");
    for (const holding& one : site.holdings) write_holding(json, one);
    json.end_array();
    json.end_object();
  }
  json.end_array();
}

}  // namespace tenure::cli
