#include "instruments/cli/top_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "instruments/analyze/grouping.h"
#include "instruments/analyze/user_frame.h"
#include "instruments/cli/terminal.h"
#include "instruments/collect/heap_counters.h"

namespace tenure::cli {
namespace {

constexpr std::uint64_t rate_window_ns = 10'000'000'000;
constexpr std::size_t course_points = 240;
constexpr std::size_t stack_frames = 24;

void append(std::deque<double>& course, double value) {
  course.push_back(value);
  if (course.size() > course_points) course.pop_front();
}

// Of a process that is still there the newest reading, of one that has ended its last.
double resident_of(const collect::process_record& record) {
  return record.resident.empty() ? 0 : static_cast<double>(record.resident.back().resident_bytes);
}

top_parts parts_of(const analyze::process_profile& now, double resident_bytes) {
  const wire::heap_statistics& heap = now.record.statistics;
  const double committed = static_cast<double>(heap.chunk_bytes - std::min(heap.chunk_bytes, heap.free_clean_bytes)) +
                           static_cast<double>(heap.metadata_bytes);
  top_parts parts;
  parts.live = std::min(now.live_at_exit.bytes.value, resident_bytes);
  parts.kept = std::clamp(committed - parts.live, 0.0, resident_bytes - parts.live);
  parts.outside = resident_bytes - parts.live - parts.kept;
  return parts;
}

// What group_sites() calls the group of a sample.
std::string group_name(const analyze::process_profile& profile, analyze::frame_resolver& frames, top_table table,
                       const collect::sample& one) {
  if (table == top_table::threads) return analyze::thread_label(profile.record.threads[one.thread]);
  const auto chain = frames.user_chain(one.stack, 1);
  if (chain.empty()) return "[no stack]";
  if (table == top_table::modules) return analyze::module_label(profile, chain[0].module);
  return table == top_table::lines ? analyze::line_label(*chain[0].what) : chain[0].what->function;
}

}  // namespace

std::string_view name_of(top_table table) {
  constexpr std::array<std::string_view, top_table_count> names = {"functions", "lines", "modules", "threads",
                                                                   "accounts"};
  return names[static_cast<std::size_t>(table)];
}

double top_history::rate(std::deque<point>& of, std::uint64_t time_ns, double allocated_bytes) const {
  // What was not there at the moment before began after it, from nothing.
  if (of.empty() && last_time_ns_ != 0) of.push_back({last_time_ns_, 0});
  while (of.size() > 1 && of[1].time_ns + rate_window_ns <= time_ns) of.pop_front();
  const point first = of.empty() ? point{time_ns, allocated_bytes} : of.front();
  of.push_back({time_ns, allocated_bytes});
  if (time_ns <= first.time_ns || allocated_bytes <= first.allocated_bytes) return 0;
  return (allocated_bytes - first.allocated_bytes) * 1e9 / static_cast<double>(time_ns - first.time_ns);
}

top_row top_history::row_of(top_table table, const analyze::site_group& group, std::uint64_t time_ns) {
  const analyze::call_site& totals = group.totals;
  top_row row;
  row.name = group.name;
  row.live_bytes = totals.live_at_exit.bytes.value;
  row.live_error = totals.live_at_exit.bytes.relative_error();
  row.live_blocks = totals.live_at_exit.blocks.value;
  row.allocated_bytes = totals.allocated.bytes.value;
  row.bytes_per_second = rate(points_[static_cast<std::size_t>(table)][row.name], time_ns, row.allocated_bytes);
  return row;
}

top_row top_history::row_of(const collect::account& account, std::uint64_t time_ns) {
  top_row row;
  row.name = account.kind.empty() ? account.name : fmt::format("{} ({})", account.name, account.kind);
  row.live_bytes = static_cast<double>(account.held_bytes);
  row.live_blocks = static_cast<double>(account.publishes_use ? account.used_blocks : account.held_blocks);
  // A ledger tells how often, not how much, was allocated.
  row.allocated_bytes = static_cast<double>(account.peak_held_bytes);
  row.bytes_per_second =
      rate(points_[static_cast<std::size_t>(top_table::accounts)][fmt::format("{} {}", account.record, row.name)],
           time_ns, static_cast<double>(account.held_bytes));
  const std::uint64_t limit = std::min(account.hard_limit_bytes, account.soft_limit_bytes);
  row.limit_bytes = limit == wire::no_limit ? 0 : static_cast<double>(limit);
  return row;
}

top_figures top_history::add(const analyze::process_profile& now, std::uint64_t time_ns) {
  top_figures figures;
  figures.pid = now.record.pid;
  figures.command = in_one_line(joined(now.record.command_line));
  figures.watched_ns = time_ns - std::min(time_ns, now.record.start_ns);
  figures.resident_bytes = resident_of(now.record);
  figures.parts = parts_of(now, figures.resident_bytes);
  figures.live_bytes = now.live_at_exit.bytes.value;
  figures.live_error = now.live_at_exit.bytes.relative_error();
  figures.bytes_per_second = rate(all_, time_ns, now.allocated.bytes.value);
  figures.samples = now.record.samples.size();
  figures.dropped_events = now.record.dropped_events;
  const std::array<const std::vector<analyze::site_group>*, 4> groups = {&now.by_function, &now.by_line, &now.by_module,
                                                                         &now.by_thread};
  for (std::size_t table = 0; table < groups.size(); ++table)
    for (const analyze::site_group& group : *groups[table])
      figures.rows[table].push_back(row_of(static_cast<top_table>(table), group, time_ns));
  for (const collect::account& account : now.record.accounts)
    if (account.is_open)
      figures.rows[static_cast<std::size_t>(top_table::accounts)].push_back(row_of(account, time_ns));
  last_time_ns_ = time_ns;
  append(resident_course_, figures.resident_bytes);
  append(live_course_, figures.live_bytes);
  append(rate_course_, figures.bytes_per_second);
  figures.resident_course = resident_course_;
  figures.live_course = live_course_;
  figures.rate_course = rate_course_;
  return figures;
}

std::vector<top_stack> stacks_of(analyze::process_profile& profile, symbols::symbolizer& symbolizer, top_table table,
                                 const std::string& name, std::size_t most) {
  analyze::frame_resolver frames(profile, symbolizer);
  std::map<std::uint32_t, top_stack> by_stack;
  std::map<std::pair<std::uint32_t, std::uint32_t>, bool> is_of_row;  // by stack and thread
  for (const collect::sample& one : profile.record.samples) {
    const auto [known, is_new] = is_of_row.emplace(std::pair(one.stack, one.thread), false);
    if (is_new) known->second = group_name(profile, frames, table, one) == name;
    if (!known->second) continue;
    const analyze::amount weight = analyze::weight_of(one);
    top_stack& stack = by_stack[one.stack];
    stack.allocated_bytes += weight.bytes.value;
    if (one.free_time_ns != collect::never) continue;
    stack.live_bytes += weight.bytes.value;
    stack.live_blocks += weight.blocks.value;
  }
  std::vector<std::pair<std::uint32_t, top_stack>> order(by_stack.begin(), by_stack.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.live_bytes, a.second.allocated_bytes) >
           std::pair(b.second.live_bytes, b.second.allocated_bytes);
  });
  if (order.size() > most) order.resize(most);
  std::vector<top_stack> result;
  for (auto& [stack, one] : order) {
    for (const auto& placed : frames.user_chain(stack, stack_frames)) one.frames.push_back(*placed.what);
    result.push_back(std::move(one));
  }
  return result;
}

}  // namespace tenure::cli
