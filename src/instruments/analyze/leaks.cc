#include "instruments/analyze/leaks.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "instruments/analyze/block_chooser.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {
namespace {

leak_kind kind_of(wire::block_reach reach) {
  switch (reach) {
    case wire::block_reach::possible:
      return leak_kind::possible;
    case wire::block_reach::indirect:
      return leak_kind::indirect;
    default:
      return leak_kind::definite;
  }
}

void note_time(leak_site& site, std::uint64_t time_ns) {
  if (time_ns == 0) return;
  if (site.first_ns == 0 || time_ns < site.first_ns) site.first_ns = time_ns;
  site.last_ns = std::max(site.last_ns, time_ns);
}

void add_site(leak_site& to, const leak_site& from) {
  to.leaked += from.leaked;
  to.held += from.held;
  to.sampled += from.sampled;
  note_time(to, from.first_ns);
  note_time(to, from.last_ns);
}

// What a reader can tell two sites apart by.
// The sites of one process, gathered block by block.
class leak_table {
 public:
  leak_site& at(leak_kind kind, std::uint32_t stack) {
    const auto [place, is_new] = index_.try_emplace({kind, stack}, sites_.size());
    if (is_new) {
      sites_.emplace_back();
      sites_.back().kind = kind;
      sites_.back().stack = stack;
    }
    return sites_[place->second];
  }

  // Into the process, in order and with names.
  void close(leak_process& into, frame_resolver& frames) {
    for (leak_site& site : sites_) {
      into.totals[static_cast<std::size_t>(site.kind)] += site.leaked;
      if (site.stack == no_index) into.without_stack += site.leaked;
      if (site.stack == no_index) continue;
      site.chain = frames.site_chain(site.stack);
    }
    merge_alike();
    std::stable_sort(sites_.begin(), sites_.end(), [](const leak_site& a, const leak_site& b) {
      if (a.kind != b.kind) return a.kind < b.kind;
      return a.leaked.bytes + a.held.bytes > b.leaked.bytes + b.held.bytes;
    });
    into.sites = std::move(sites_);
  }

 private:
  // Stacks that differ in return addresses of the same lines alone: a loop that was unrolled, a function that was
  // cloned.
  void merge_alike() {
    std::map<std::pair<leak_kind, std::string>, std::size_t> places;
    std::vector<leak_site> merged;
    for (leak_site& site : sites_) {
      const auto [place, is_new] = places.try_emplace({site.kind, shown_site(site.chain, site.stack)}, merged.size());
      if (is_new) {
        merged.push_back(std::move(site));
      } else {
        add_site(merged[place->second], site);
      }
    }
    sites_ = std::move(merged);
  }

  std::map<std::pair<leak_kind, std::uint32_t>, std::size_t> index_;
  std::vector<leak_site> sites_;
};

class stack_judge {
 public:
  stack_judge(const process_profile& of, frame_resolver& frames, const suppressions& suppressed)
      : of_(of), frames_(frames), suppressed_(suppressed) {}
  bool takes(std::uint32_t stack) {
    const auto [place, is_new] = known_.try_emplace(stack, false);
    if (is_new) place->second = stack != no_index && suppressed_.takes(of_, frames_, stack);
    return place->second;
  }

 private:
  const process_profile& of_;
  frame_resolver& frames_;
  const suppressions& suppressed_;
  std::unordered_map<std::uint32_t, bool> known_;
};

void add_scanned(leak_process& into, const collect::leak_scan& scan, symbols::symbolizer& symbolizer,
                 const suppressions& suppressed, const selection& selected) {
  into.scan = scan.header;
  frame_resolver frames(into.profile, symbolizer);
  block_chooser chosen(selected, into.profile, frames);
  stack_judge judge(into.profile, frames, suppressed);
  std::unordered_map<std::uint64_t, const collect::sample*> samples;
  for (const collect::sample& one : into.profile.record.samples) samples.emplace(one.id, &one);
  leak_table sites;
  std::unordered_set<std::uint64_t> suppressed_leaders;
  // Definite ones come first.
  for (const collect::leaked_block& block : scan.blocks) {
    if (!chosen.takes(block)) continue;
    const std::uint64_t bytes = block.known_bytes();
    const bool goes_with_suppressed = block.leader != 0 && suppressed_leaders.contains(block.leader);
    if (goes_with_suppressed || judge.takes(block.stack)) {
      into.suppressed += {1, bytes};
      if (block.reach == wire::block_reach::definite) suppressed_leaders.insert(block.address);
      continue;
    }
    leak_site& site = sites.at(kind_of(block.reach), block.stack);
    site.leaked += {1, bytes};
    site.held += {block.held.blocks, block.held.bytes};
    if (const auto found = samples.find(block.sample_id); block.sample_id != 0 && found != samples.end())
      site.sampled += weight_of(*found->second);
    // Since the start of the process, which is known only of one that was watched from then on.
    if (into.is_recorded) note_time(site, block.time_ns);
  }
  sites.close(into, frames);
  into.held = find_holders(into.profile, scan, frames, symbolizer,
                           [&](const collect::scanned_block& block) { return chosen.takes(block); });
}

}  // namespace

leak_report find_leaks(collect::recording&& watched, symbols::symbolizer& symbolizer, const suppressions& suppressed,
                       bool is_recorded, const selection& selected) {
  leak_report report;
  for (collect::process_record& record : watched.processes) {
    leak_process& process = report.processes.emplace_back();
    process.profile.record = std::move(record);
    process.is_recorded = is_recorded;
    if (const auto& scan = process.profile.record.scan) add_scanned(process, *scan, symbolizer, suppressed, selected);
  }
  report.notes = watched.notes;
  report.run = std::move(watched);
  report.run.processes.clear();
  return report;
}

void add_suspects(leak_report& report, std::vector<growth_process>&& growth, symbols::symbolizer& symbolizer,
                  const suppressions& suppressed) {
  for (growth_process& from : growth) {
    const collect::process_record& record = from.walked.profile.record;
    const auto same = [&](const leak_process& one) {
      return one.profile.record.pid == record.pid && one.profile.record.start_ns == record.start_ns;
    };
    const auto into = std::find_if(report.processes.begin(), report.processes.end(), same);
    if (into == report.processes.end()) continue;
    frame_resolver frames(from.walked.profile, symbolizer);
    stack_judge judge(from.walked.profile, frames, suppressed);
    std::erase_if(from.suspects, [&](const growing_site& one) { return judge.takes(one.stack); });
    into->suspects = std::move(from.suspects);
    if (report.source && !report.source->knows(collect::gap_lives))
      for (growing_site& one : into->suspects) one.mean_age_ns = one.oldest_ns = 0;
    into->judged_functions = from.judged;
  }
}

leak_report find_never_freed(exact_report&& recorded, symbols::symbolizer& symbolizer, const suppressions& suppressed) {
  leak_report report;
  for (exact_process& from : recorded.processes) {
    leak_process& process = report.processes.emplace_back();
    process.profile = std::move(from.profile);
    process.is_recorded = true;
    frame_resolver frames(process.profile, symbolizer);
    stack_judge judge(process.profile, frames, suppressed);
    leak_table sites;
    for (const exact_site& site : from.sites) {
      if (site.at_end.blocks == 0) continue;
      if (judge.takes(site.stack))
        process.suppressed += site.at_end;
      else
        sites.at(leak_kind::never_freed, site.stack).leaked += site.at_end;
    }
    sites.close(process, frames);
  }
  report.command = std::move(recorded.command);
  report.notes = recorded.run.notes;
  report.source = recorded.source;
  report.run = std::move(recorded.run);
  return report;
}

}  // namespace tenure::analyze
