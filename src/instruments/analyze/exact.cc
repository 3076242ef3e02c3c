#include "instruments/analyze/exact.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

using record::event;
using record::event_kind;

// What a live block's slot remembers.
struct live_block {
  std::uint64_t bytes = 0;
  std::uint32_t stack = 0;
  std::uint32_t thread = 0;
};

// The live blocks of one process as its events go by.
class live_set {
 public:
  // The block that the event brings or takes.
  const live_block& apply(const event& one) {
    if (one.kind == event_kind::allocation) {
      if (one.slot >= blocks_.size()) blocks_.resize(one.slot + 1);
      blocks_[one.slot] = {one.bytes, one.stack, one.thread};
      live_ += {1, one.bytes};
    } else if (one.kind == event_kind::free) {
      live_.blocks -= 1;
      live_.bytes -= blocks_[one.slot].bytes;
    }
    return blocks_[one.slot];
  }
  const exact_amount& live() const { return live_; }

 private:
  std::vector<live_block> blocks_ = std::vector<live_block>(1);
  exact_amount live_;
};

// Pass 1 of one process.
struct first_pass {
  live_set live;
  exact_process result;
  std::uint64_t peak_event = 0;  // the peak is right after so many events
};

void take_first(first_pass& pass, std::span<const event> events) {
  exact_process& into = pass.result;
  for (const event& one : events) {
    ++into.events;
    if (one.kind == event_kind::stray_free) {
      ++into.stray_frees;
      continue;
    }
    const live_block& block = pass.live.apply(one);
    if (block.stack >= into.sites.size()) into.sites.resize(block.stack + 1);
    exact_site& site = into.sites[block.stack];
    const exact_amount amount{1, block.bytes};
    if (one.kind == event_kind::allocation) {
      site.allocated += amount;
      if (pass.live.live().bytes <= into.peak.bytes) continue;
      into.peak = pass.live.live();
      into.peak_time_ns = one.time_ns;
      pass.peak_event = into.events;
    } else {
      site.freed += amount;
      if (block.thread != one.thread) site.freed_elsewhere += amount;
    }
  }
}

// Pass 2: what lives at the moment, by stack.
struct second_pass {
  live_set live;
  std::uint64_t seen = 0;
};

void take_second(second_pass& pass, exact_process& into, std::span<const event> events, std::uint64_t last_event,
                 std::optional<std::uint64_t> until_ns) {
  for (const event& one : events) {
    if (until_ns ? one.time_ns > *until_ns : pass.seen >= last_event) return;
    ++pass.seen;
    if (one.kind == event_kind::stray_free) continue;
    const live_block& block = pass.live.apply(one);
    exact_amount& held = into.sites[block.stack].at_moment;
    if (one.kind == event_kind::allocation) {
      held += {1, block.bytes};
    } else {
      held.blocks -= 1;
      held.bytes -= block.bytes;
    }
  }
}

void sum_up(exact_process& process) {
  for (std::uint32_t stack = 0; stack < process.sites.size(); ++stack) {
    exact_site& site = process.sites[stack];
    site.stack = stack;
    site.at_end = {site.allocated.blocks - site.freed.blocks, site.allocated.bytes - site.freed.bytes};
    process.totals += site;
  }
  std::erase_if(process.sites, [](const exact_site& site) { return site.allocated.blocks == 0; });
}

// By what is held at the moment, then by what was allocated.
bool is_greater(const exact_site& left, const exact_site& right) {
  if (left.at_moment.bytes != right.at_moment.bytes) return left.at_moment.bytes > right.at_moment.bytes;
  return left.allocated.bytes > right.allocated.bytes;
}

void group_by_function(exact_process& process, symbols::symbolizer& symbolizer) {
  constexpr std::size_t chain_frames = 6;
  frame_resolver frames(process.profile, symbolizer);
  std::unordered_map<std::string, std::size_t> by_name;
  std::vector<std::uint64_t> heaviest;
  for (const exact_site& site : process.sites) {
    const auto chain = frames.user_chain(site.stack, 1);
    const std::string name = chain.empty() ? "[no stack]" : chain[0].what->function;
    const auto [place, is_new] = by_name.emplace(name, process.by_function.size());
    if (is_new) {
      process.by_function.push_back({name, 0, {}, {}});
      heaviest.push_back(0);
    }
    exact_group& group = process.by_function[place->second];
    ++group.stack_count;
    group.totals += site;
    if (group.totals.stack != no_index && site.allocated.bytes <= heaviest[place->second]) continue;
    group.totals.stack = site.stack;
    heaviest[place->second] = site.allocated.bytes;
  }
  for (exact_group& group : process.by_function)
    for (const auto& placed : frames.user_chain(group.totals.stack, chain_frames)) group.chain.push_back(*placed.what);
  std::stable_sort(process.by_function.begin(), process.by_function.end(),
                   [](const exact_group& a, const exact_group& b) { return is_greater(a.totals, b.totals); });
}

}  // namespace

exact_site& exact_site::operator+=(const exact_site& other) {
  allocated += other.allocated;
  freed += other.freed;
  freed_elsewhere += other.freed_elsewhere;
  at_moment += other.at_moment;
  at_end += other.at_end;
  return *this;
}

exact_report analyze_exactly(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                             const exact_options& options) {
  std::vector<first_pass> passes;
  reader.read([&](std::size_t process, std::span<const event> events) {
    if (process >= passes.size()) passes.resize(process + 1);
    take_first(passes[process], events);
    return true;
  });
  passes.resize(reader.run().processes.size());
  std::vector<std::optional<std::uint64_t>> until_ns(passes.size());
  for (std::size_t i = 0; i < passes.size(); ++i)
    if (options.at_ns) until_ns[i] = reader.run().processes[i].record.start_ns + *options.at_ns;

  std::vector<second_pass> seconds(passes.size());
  reader.read([&](std::size_t process, std::span<const event> events) {
    take_second(seconds[process], passes[process].result, events, passes[process].peak_event, until_ns[process]);
    return true;
  });

  exact_report report;
  report.run = std::move(reader.run().run);
  report.command = reader.run().command;
  report.is_complete = reader.run().is_complete;
  report.damage = reader.run().damage;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    exact_process& process = passes[i].result;
    collect::recorded_process& from = reader.run().processes[i];
    process.profile.record = std::move(from.record);
    process.losses = from.losses;
    process.is_complete = from.is_complete;
    process.moment_ns = until_ns[i].value_or(process.peak_time_ns);
    sum_up(process);
    std::stable_sort(process.sites.begin(), process.sites.end(), is_greater);
    group_by_function(process, symbolizer);
    report.processes.push_back(std::move(process));
  }
  return report;
}

}  // namespace tenure::analyze
