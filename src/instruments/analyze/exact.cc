#include "instruments/analyze/exact.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/memory_parts.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

using record::event_kind;

// One stack while the recording goes by.
struct open_site {
  exact_site totals;
  exact_amount live;
  std::uint64_t moment = 0;  // the last one for which totals.at_moment was put down
};

// One process while the recording goes by.
struct open_process {
  std::vector<open_site> sites;  // by stack
  exact_amount live, peak;
  std::uint64_t moment = 1;  // how many moments of interest there were, the beginning being the first
  std::uint64_t peak_time_ns = 0;
  std::optional<std::uint64_t> at_ns;  // the only moment of interest; without it, every new peak is one
  bool is_past = false;                // that moment
  std::unordered_map<std::uint64_t, exact_amount> freed;  // by stack of the allocation and of the free
};

void put_down(open_site& site, std::uint64_t moment) {
  if (site.moment == moment) return;
  site.totals.at_moment = site.live;
  site.moment = moment;
}

void take(open_process& into, const record::event& one, const live_block& block) {
  if (block.stack >= into.sites.size()) into.sites.resize(block.stack + 1);
  if (into.at_ns && !into.is_past && one.time_ns > *into.at_ns) {
    into.is_past = true;
    ++into.moment;
  }
  open_site& site = into.sites[block.stack];
  put_down(site, into.moment);
  const exact_amount amount{1, block.bytes};
  if (one.kind == event_kind::allocation) {
    site.totals.allocated += amount;
    site.live += amount;
    into.live += amount;
    if (site.live.bytes > site.totals.peak.bytes) site.totals.peak = site.live;
    if (into.live.bytes <= into.peak.bytes) return;
    into.peak = into.live;
    into.peak_time_ns = one.time_ns;
    if (!into.at_ns) ++into.moment;
  } else {
    site.totals.freed += amount;
    if (one.stack != record::no_stack) into.freed[std::uint64_t{block.stack} << 32 | one.stack] += amount;
    if (block.thread != one.thread) site.totals.freed_elsewhere += amount;
    site.totals.lifetime_ns += one.time_ns > block.time_ns ? one.time_ns - block.time_ns : 0;
    site.live -= amount;
    into.live -= amount;
  }
}

// A block that was alive before the first event.
void take_alive(open_process& into, const live_block& block) {
  if (block.stack >= into.sites.size()) into.sites.resize(block.stack + 1);
  open_site& site = into.sites[block.stack];
  const exact_amount amount{1, block.bytes};
  site.totals.at_begin += amount;
  site.live += amount;
  site.totals.peak = site.live;
  into.live += amount;
  into.peak = into.live;
}

// What is known of a stack as a sum; of the process nothing else is.
void take_sum(open_process& into, const collect::stack_sum& sum) {
  if (sum.stack >= into.sites.size()) into.sites.resize(sum.stack + std::size_t{1});
  open_site& site = into.sites[sum.stack];
  site.totals.allocated += {sum.allocated_blocks, sum.allocated_bytes};
  const exact_amount live{sum.live_blocks, sum.live_bytes};
  site.live += live;
  site.totals.peak = site.live;
  into.live += live;
  into.peak = into.live;
}

exact_process close(open_process& from, const std::vector<live_block>& blocks, walked_process&& walked) {
  exact_process result;
  result.losses = walked.losses;
  result.is_complete = walked.is_complete;
  result.events = walked.events;
  result.stray_frees = walked.stray_frees;
  result.before = walked.before;
  result.peak = from.peak;
  result.peak_time_ns = from.peak_time_ns;
  if (walked.before) result.peak_time_ns = std::max(result.peak_time_ns, walked.before->last_ns);
  result.moment_ns = from.at_ns.value_or(result.peak_time_ns);
  result.end_ns = walked.last_ns;
  // The end is later than every moment asked for that has not come.
  if (from.at_ns && !from.is_past) ++from.moment;
  for (const live_block& block : blocks) {
    if (block.stack == no_index || walked.last_ns < block.time_ns) continue;
    from.sites[block.stack].totals.lifetime_ns += walked.last_ns - block.time_ns;
  }
  for (std::uint32_t stack = 0; stack < from.sites.size(); ++stack) {
    open_site& site = from.sites[stack];
    if (site.totals.allocated.blocks + site.totals.at_begin.blocks + site.live.blocks == 0) continue;
    put_down(site, from.moment);
    site.totals.stack = stack;
    site.totals.at_end = site.live;
    result.totals += site.totals;
    result.sites.push_back(site.totals);
  }
  result.profile = std::move(walked.profile);
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
void add_frees(exact_process& process, const open_process& from, symbols::symbolizer& symbolizer) {
  constexpr std::size_t freers_kept = 5;
  if (from.freed.empty()) return;
  frame_resolver frames(process.profile, symbolizer);
  std::unordered_map<std::uint32_t, std::uint32_t> group_of;
  for (const exact_site& site : process.sites) group_of[site.stack] = site.function;
  // In an order that does not hang on the table's.
  std::vector<std::pair<std::uint64_t, exact_amount>> pairs(from.freed.begin(), from.freed.end());
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
    std::vector<exact_freer>& freed_by =
        process.by_function[group_of.at(static_cast<std::uint32_t>(stacks >> 32))].freed_by;
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

}  // namespace

exact_site& exact_site::operator+=(const exact_site& other) {
  at_begin += other.at_begin;
  allocated += other.allocated;
  freed += other.freed;
  freed_elsewhere += other.freed_elsewhere;
  at_moment += other.at_moment;
  at_end += other.at_end;
  peak += other.peak;
  lifetime_ns += other.lifetime_ns;
  return *this;
}

exact_report analyze_exactly(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                             const exact_options& options) {
  recording_walk walk(reader, symbolizer, options.selected, options.progress, wish_of(options));
  std::vector<open_process> open(walk.size());
  for (std::size_t i = 0; i < open.size(); ++i)
    if (options.at_ns) open[i].at_ns = walk.process(i).profile.record.start_ns + *options.at_ns;
  walk.run(
      [&](std::size_t process, const record::event& one, const live_block& block) { take(open[process], one, block); },
      [&](std::size_t process, const record::event&, const live_block& block, bool is_taken) {
        if (is_taken) take_alive(open[process], block);
      });

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
    for (const collect::stack_sum& sum : walk.process(i).sums)
      if (walk.takes(i, sum)) take_sum(open[i], sum);
    auto memory = memory_of(walk.process(i));
    exact_process process = close(open[i], walk.blocks(i), std::move(walk.process(i)));
    process.memory = std::move(memory);
    std::stable_sort(process.sites.begin(), process.sites.end(), is_greater);
    group_by_function(process, symbolizer, walk.part("finding names", i, walk.size()));
    add_frees(process, open[i], symbolizer);
    if (options.resolves_all_frames) frame_resolver(process.profile, symbolizer).resolve_all();
    report.processes.push_back(std::move(process));
  }
  return report;
}

}  // namespace tenure::analyze
