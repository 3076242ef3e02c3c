#include "instruments/analyze/exact.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/memory_parts.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

record::counted_block as_counted(const live_block& block) {
  return {block.stack, block.thread, block.bytes, block.time_ns};
}

void add_site(exact_process& to, std::uint32_t stack, const record::stack_total& totals) {
  exact_site& site = to.sites.emplace_back();
  static_cast<record::stack_total&>(site) = totals;
  site.stack = stack;
  to.totals += totals;
}

// What is known of a process besides its sites.
exact_process begin_of(walked_process&& walked) {
  exact_process result;
  result.losses = std::move(walked.losses);
  result.is_complete = walked.is_complete;
  result.events = walked.events;
  result.stray_frees = walked.stray_frees;
  result.before = walked.before;
  result.end_ns = walked.last_ns;
  result.profile = std::move(walked.profile);
  return result;
}

exact_process close(record::stack_totals& from, const std::vector<live_block>& blocks, walked_process&& walked,
                    const std::optional<std::uint64_t>& at_ns) {
  exact_process result = begin_of(std::move(walked));
  result.peak = from.peak();
  result.peak_time_ns = from.peak_time_ns();
  if (result.before) result.peak_time_ns = std::max(result.peak_time_ns, result.before->last_ns);
  result.moment_ns = at_ns.value_or(result.peak_time_ns);
  for (const live_block& block : blocks)
    if (block.stack != no_index) from.add_life(block.stack, block.time_ns, result.end_ns);
  from.close();
  for (std::uint32_t stack = 0; stack < from.size(); ++stack)
    if (from.has(stack)) add_site(result, stack, from.of(stack));
  return result;
}

// The same of what the recording tells itself.
exact_process told(walked_process&& walked) {
  const record::told_totals totals = std::move(walked.totals);
  exact_process result = begin_of(std::move(walked));
  result.events = totals.events;
  result.stray_frees = totals.stray_frees;
  result.peak = totals.peak;
  result.peak_time_ns = result.moment_ns = totals.peak_time_ns;
  for (const auto& [stack, site] : totals.stacks) add_site(result, stack, site);
  return result;
}

// By what is held at the moment, then by what was allocated.
bool is_greater(const exact_site& left, const exact_site& right) {
  if (left.at_moment.bytes != right.at_moment.bytes) return left.at_moment.bytes > right.at_moment.bytes;
  return left.allocated.bytes > right.allocated.bytes;
}

void group_by_function(exact_process& process, symbols::symbolizer& symbolizer, const share_function& progress) {
  frame_resolver frames(process.profile, symbolizer);
  std::unordered_map<std::string, std::size_t> by_name;
  std::vector<std::uint64_t> heaviest;
  for (exact_site& site : process.sites) {
    if (progress)
      progress(static_cast<double>(&site - process.sites.data()) / static_cast<double>(process.sites.size()));
    const auto chain = frames.user_chain(site.stack, 1);
    const std::string name = chain.empty() ? "[no stack]" : chain[0].what->function;
    const auto [place, is_new] = by_name.emplace(name, process.by_function.size());
    if (is_new) {
      process.by_function.push_back({name, 0, {}, {}, {}});
      heaviest.push_back(0);
    }
    site.function = static_cast<std::uint32_t>(place->second);
    exact_group& group = process.by_function[place->second];
    ++group.stack_count;
    group.totals += site;
    if (group.totals.stack != no_index && site.allocated.bytes <= heaviest[place->second]) continue;
    group.totals.stack = site.stack;
    heaviest[place->second] = site.allocated.bytes;
  }
  for (exact_group& group : process.by_function) group.chain = frames.shown_chain(group.totals.stack);
  std::vector<std::uint32_t> order(process.by_function.size()), place_of(order.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return is_greater(process.by_function[a].totals, process.by_function[b].totals);
  });
  std::vector<exact_group> sorted;
  for (const std::uint32_t from : order) {
    place_of[from] = static_cast<std::uint32_t>(sorted.size());
    sorted.push_back(std::move(process.by_function[from]));
  }
  process.by_function = std::move(sorted);
  for (exact_site& site : process.sites) site.function = place_of[site.function];
}

const record::moment_total* moment_of(const record::told_totals& totals, std::uint64_t time_ns) {
  const auto found = std::find_if(totals.moments.begin(), totals.moments.end(),
                                  [&](const record::moment_total& one) { return one.time_ns == time_ns; });
  return found == totals.moments.end() ? nullptr : &*found;
}

// Where the memory was at the moment of interest, or at the end of a window.
collect::memory_wish wish_of(const exact_options& options) {
  const selection& selected = options.selected;
  const bool ends = selected.end_ns != no_end;
  return {.at_ns = options.at_ns ? options.at_ns
                   : ends        ? std::optional(selected.end_ns)
                                 : std::nullopt,
          .from_ns = selected.begin_ns,
          .to_ns = selected.end_ns,
          .wants_mappings = true};
}

// What is alive was counted, so the estimate has no error.
std::optional<memory_breakdown> memory_of(const walked_process& of) {
  if (of.profile.record.maps.empty()) return std::nullopt;
  const auto exactly = [](std::uint64_t value) { return estimate{static_cast<double>(value), 0}; };
  const live_then& alive = of.at_memory;
  return break_down_memory(of.profile.record.maps.front(),
                           {exactly(alive.bytes), exactly(alive.usable_bytes), exactly(alive.blocks), alive.blocks});
}

bool is_heavier(const exact_amount& left, const exact_amount& right) { return left.bytes > right.bytes; }

// Who freed each group's blocks, and what was freed on each stack. While sites are as the groups number them.
void add_frees(exact_process& process, std::vector<std::pair<std::uint64_t, exact_amount>> pairs,
               symbols::symbolizer& symbolizer) {
  constexpr std::size_t freers_kept = 5;
  if (pairs.empty()) return;
  frame_resolver frames(process.profile, symbolizer);
  std::unordered_map<std::uint32_t, std::uint32_t> group_of;
  for (const exact_site& site : process.sites) group_of[site.stack] = site.function;
  // In an order that does not hang on the table's.
  std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) {
    return std::pair(b.second.bytes, a.first) < std::pair(a.second.bytes, b.first);
  });
  std::unordered_map<std::uint32_t, std::size_t> place_of;
  for (const auto& [stacks, amount] : pairs) {
    const auto free_stack = static_cast<std::uint32_t>(stacks);
    const auto [place, is_new] = place_of.emplace(free_stack, process.frees.size());
    if (is_new) {
      const auto chain = frames.user_chain(free_stack, 1);
      process.frees.push_back({free_stack, chain.empty() ? "[no stack]" : chain[0].what->function, {}});
    }
    exact_free& here = process.frees[place->second];
    here.amount += amount;
    // A file that anybody has written may name stacks of which it says nothing else.
    const auto group = group_of.find(static_cast<std::uint32_t>(stacks >> 32));
    if (group == group_of.end()) continue;
    std::vector<exact_freer>& freed_by = process.by_function[group->second].freed_by;
    const auto same =
        std::find_if(freed_by.begin(), freed_by.end(), [&](auto& one) { return one.name == here.function; });
    if (same != freed_by.end()) {
      same->amount += amount;
    } else {
      freed_by.push_back({here.function, amount, free_stack, {}});
    }
  }
  std::stable_sort(process.frees.begin(), process.frees.end(),
                   [](auto& a, auto& b) { return is_heavier(a.amount, b.amount); });
  for (exact_group& group : process.by_function) {
    std::stable_sort(group.freed_by.begin(), group.freed_by.end(),
                     [](auto& a, auto& b) { return is_heavier(a.amount, b.amount); });
    if (group.freed_by.size() > freers_kept) group.freed_by.resize(freers_kept);
    for (exact_freer& one : group.freed_by) one.chain = frames.shown_chain(one.stack);
  }
}

// Whether all that is asked is in the totals that the recording tells of the processes: everything, at the peak.
bool is_told(recording_walk& walk, const exact_options& options) {
  const selection& selected = options.selected;
  if (options.at_ns || options.replays_always || selected.has_window() || selected.chooses_blocks()) return false;
  const walked_run& whole = walk.whole();
  if (whole.damage || whole.rotated || whole.source) return false;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    if (!walk.takes_process(i)) continue;
    const walked_process& process = walk.process(i);
    if (!process.is_complete || !process.totals.is_whole) return false;
    const auto& maps = process.profile.record.maps;
    if (!maps.empty() && moment_of(process.totals, maps.front().time_ns) == nullptr) return false;
  }
  return true;
}

// As if it had been replayed.
void take_told(walked_process& process) {
  collect::process_record& record = process.profile.record;
  record.end_ns = process.last_ns = std::max(record.end_ns, process.totals.last_event_ns);
  if (record.maps.empty()) return;
  const record::moment_total& then = *moment_of(process.totals, record.maps.front().time_ns);
  process.at_memory = {then.live.blocks, then.live.bytes, then.usable_bytes};
}

// What the walk has found of one process, before it has names.
struct counted_process {
  exact_process process;
  std::vector<std::pair<std::uint64_t, exact_amount>> freed;  // by stacks of the allocation and of the free
};

std::vector<record::stack_totals> replay_all(recording_walk& walk, const exact_options& options) {
  std::vector<record::stack_totals> open(walk.size());
  for (std::size_t i = 0; i < open.size(); ++i)
    if (options.at_ns) open[i].set_moment(walk.process(i).profile.record.start_ns + *options.at_ns);
  walk.run([&](std::size_t process, const record::event& one,
               const live_block& block) { open[process].take(one, as_counted(block)); },
           [&](std::size_t process, const record::event&, const live_block& block, bool is_taken) {
             if (is_taken) open[process].take_alive(block.stack, block.bytes);
           });
  return open;
}

counted_process count_by_walk(recording_walk& walk, std::size_t index, record::stack_totals& open,
                              const exact_options& options) {
  for (const collect::stack_sum& sum : walk.process(index).sums)
    if (walk.takes(index, sum))
      open.take_sum(sum.stack, {sum.allocated_blocks, sum.allocated_bytes}, {sum.live_blocks, sum.live_bytes});
  std::optional<std::uint64_t> at_ns;
  if (options.at_ns) at_ns = walk.process(index).profile.record.start_ns + *options.at_ns;
  auto memory = memory_of(walk.process(index));
  counted_process result{close(open, walk.blocks(index), std::move(walk.process(index)), at_ns),
                         {open.freed().begin(), open.freed().end()}};
  result.process.memory = std::move(memory);
  return result;
}

counted_process counted_by_the_recording(recording_walk& walk, std::size_t index) {
  walked_process& walked = walk.process(index);
  take_told(walked);
  auto memory = memory_of(walked);
  std::vector<std::pair<std::uint64_t, exact_amount>> freed = std::move(walked.totals.freed);
  counted_process result{told(std::move(walked)), std::move(freed)};
  result.process.memory = std::move(memory);
  return result;
}

}  // namespace

exact_report analyze_exactly(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                             const exact_options& options) {
  recording_walk walk(reader, symbolizer, options.selected, options.progress, wish_of(options));
  const bool is_told_by_it = is_told(walk, options);
  std::vector<record::stack_totals> open;
  if (!is_told_by_it) open = replay_all(walk, options);

  exact_report report;
  report.run = walk.whole().run;
  report.command = walk.whole().command;
  report.is_complete = walk.whole().is_complete;
  report.damage = walk.whole().damage;
  report.rotated = walk.whole().rotated;
  report.source = walk.whole().source;
  for (std::size_t i = 0; i < walk.size(); ++i) report.dropped_processes += walk.is_dropped(i) ? 1 : 0;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    if (!walk.takes_process(i)) continue;
    counted_process found =
        is_told_by_it ? counted_by_the_recording(walk, i) : count_by_walk(walk, i, open[i], options);
    exact_process& process = found.process;
    std::stable_sort(process.sites.begin(), process.sites.end(), is_greater);
    group_by_function(process, symbolizer, walk.part("finding names", i, walk.size()));
    add_frees(process, std::move(found.freed), symbolizer);
    if (options.resolves_all_frames) frame_resolver(process.profile, symbolizer).resolve_all();
    report.processes.push_back(std::move(process));
  }
  return report;
}

}  // namespace tenure::analyze
