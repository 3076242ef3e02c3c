#include "instruments/analyze/recorded_fragments.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "instruments/analyze/user_frame.h"
#include "instruments/collect/rounding.h"

namespace tenure::analyze {
namespace {

using collect::rounding;

// realloc leaves a block where it is while at least half of it is needed, or where it is one of the smallest.
constexpr std::uint64_t kept_by_realloc_bytes = 32;

// The largest class that a block may be of, beside the one of its size.
std::size_t last_class_of(const rounding& sizes, std::uint64_t bytes, std::uint8_t entry) {
  const std::size_t own = sizes.class_of(bytes);
  if (own == sizes.classes().size()) return own;
  const auto by = static_cast<wire::allocation_entry>(entry);
  std::uint64_t most_bytes = bytes;
  if (by == wire::allocation_entry::realloc) most_bytes = std::max(bytes * 2, kept_by_realloc_bytes);
  if (by == wire::allocation_entry::aligned) most_bytes = sizes.classes().back();
  return std::max(own, std::min(sizes.class_of(most_bytes), sizes.classes().size() - 1));
}

// The blocks of one stack, by class: those that are of it for sure, and those that may be.
struct counted_stack {
  exact_amount live;
  std::uint64_t usable_bytes = 0;
  std::uint64_t first_ns = no_end;
  std::map<std::size_t, std::uint64_t> certain;                          // by class
  std::map<std::pair<std::size_t, std::size_t>, std::uint64_t> between;  // by first and last class
};

class moment_counter {
 public:
  moment_counter(recording_walk& walk, const recorded_fragmentation_options& options)
      : walk_(walk), options_(options), entries_(walk.size()), found_(walk.size()) {
    for (std::size_t i = 0; i < walk.size(); ++i)
      left_ += walk.takes_process(i) && !walk.process(i).profile.record.maps.empty() ? 1 : 0;
  }

  void operator()(std::size_t process, const record::event& one, const live_block&) {
    if (one.kind == record::event_kind::allocation) note_entry(process, one);
  }
  void note_entry(std::size_t process, const record::event& one) {
    std::vector<std::uint8_t>& entries = entries_[process];
    if (one.slot >= entries.size()) entries.resize(one.slot + std::size_t{1});
    entries[one.slot] = one.entry;
  }

  void at_memory(std::size_t process) {
    found_[process] = count(process);
    // Where all have been looked at, what follows is of no interest.
    if (--left_ == 0) walk_.stop();
  }

  recorded_fragments take(std::size_t process) { return std::move(found_[process]); }

 private:
  recorded_fragments count(std::size_t process);
  void add_counters(recorded_fragments& to, const collect::memory_map& map) const;
  recorded_fragment_site site_of(const recorded_fragments& of, const counted_stack& counted) const;

  recording_walk& walk_;
  const recorded_fragmentation_options& options_;
  std::vector<std::vector<std::uint8_t>> entries_;  // by process and slot
  std::vector<recorded_fragments> found_;
  std::size_t left_ = 0;
};

void moment_counter::add_counters(recorded_fragments& to, const collect::memory_map& map) const {
  const wire::heap_statistics& told = map.statistics;
  to.is_known = true;
  to.moment_ns = map.time_ns;
  to.resident_bytes = map.resident_bytes;
  to.chunk_bytes = told.chunk_bytes;
  to.named_bytes = told.named_heap_span_bytes;
  to.sums.large_bytes = told.large_span_bytes;
  to.sums.dirty_bytes = told.free_dirty_bytes;
  to.sums.clean_bytes = told.free_clean_bytes;
  for (const wire::size_class_statistics& one : told.classes) {
    if (one.block_bytes == 0) continue;
    to.classes.push_back({one.block_bytes,
                          one.span_count,
                          one.span_bytes,
                          one.handed_out_blocks,
                          one.central_free_blocks,
                          one.absent_blocks,
                          one.transfer_blocks,
                          {},
                          0});
  }
  std::sort(to.classes.begin(), to.classes.end(),
            [](const auto& a, const auto& b) { return a.block_bytes < b.block_bytes; });
}

recorded_fragment_site moment_counter::site_of(const recorded_fragments& of, const counted_stack& counted) const {
  recorded_fragment_site site;
  site.live = counted.live;
  site.usable_bytes = counted.usable_bytes;
  site.oldest_ns = of.moment_ns - std::min(of.moment_ns, counted.first_ns);
  std::map<std::size_t, std::uint64_t> most = counted.certain;
  for (const auto& [classes, blocks] : counted.between)
    for (std::size_t one = classes.first; one <= classes.second; ++one) most[one] += blocks;
  for (const auto& [index, blocks] : most) {
    const recorded_class& in = of.classes[index];
    if (in.spans == 0) continue;
    const std::uint64_t beside_bytes = in.span_bytes / in.spans - std::min(in.block_bytes, in.span_bytes / in.spans);
    site.most_pinned_bytes += std::min(in.free_bytes(), blocks * beside_bytes);
  }
  const auto spread = [&](std::size_t index, std::uint64_t blocks) {
    const recorded_class& in = of.classes[index];
    const std::uint64_t all = std::max(in.handed_out_blocks + in.batch_blocks, blocks);
    if (all != 0)
      site.even_pinned_bytes += static_cast<std::uint64_t>(static_cast<double>(in.free_bytes()) *
                                                           static_cast<double>(blocks) / static_cast<double>(all));
  };
  for (const auto& [index, blocks] : counted.certain) spread(index, blocks);
  for (const auto& [classes, blocks] : counted.between) spread(classes.first, blocks);
  return site;
}

recorded_fragments moment_counter::count(std::size_t process) {
  walked_process& walked = walk_.process(process);
  recorded_fragments result;
  const collect::memory_map& map = walked.profile.record.maps.front();
  add_counters(result, map);
  result.alive = walked.at_memory;
  const rounding sizes(map.statistics, walked.profile.record.page_bytes);
  selector chooser(options_.selected, walked.profile, walk_.frames(process));
  const std::uint64_t start_ns = walked.profile.record.start_ns;
  std::map<std::uint32_t, counted_stack> stacks;
  const std::vector<live_block>& blocks = walk_.blocks(process);
  for (std::size_t slot = 0; slot < blocks.size(); ++slot) {
    const live_block& block = blocks[slot];
    if (block.thread == no_index) continue;
    const std::uint8_t entry = slot < entries_[process].size() ? entries_[process][slot] : 0;
    const std::size_t own = sizes.class_of(block.bytes);
    const std::size_t last = last_class_of(sizes, block.bytes, entry);
    const bool is_large = own == sizes.classes().size();
    if (is_large) {
      result.large_requested_bytes += block.bytes;
    } else {
      result.classes[own].live += {1, block.bytes};
      result.classes[own].uncertain += last != own ? 1 : 0;
    }
    const std::uint64_t since_ns = block.time_ns - std::min(block.time_ns, start_ns);
    if (block.stack == no_index || since_ns < options_.selected.begin_ns || since_ns >= options_.selected.end_ns ||
        !chooser.takes(block.stack, block.thread, block.bytes))
      continue;
    counted_stack& of = stacks[block.stack];
    of.live += {1, block.bytes};
    of.usable_bytes += sizes.usable(block.bytes);
    of.first_ns = std::min(of.first_ns, block.time_ns);
    if (is_large || static_cast<wire::allocation_entry>(entry) == wire::allocation_entry::named_heap) continue;
    if (last == own) ++of.certain[own];
    if (last != own) ++of.between[{own, last}];
  }
  for (recorded_class& one : result.classes) {
    const std::uint64_t in_use = std::min(one.live.blocks, one.handed_out_blocks);
    result.sums.live_bytes += in_use * one.block_bytes;
    result.sums.cached_bytes += (one.handed_out_blocks - in_use) * one.block_bytes;
    result.sums.free_bytes += one.free_bytes();
    result.sums.absent_bytes += one.absent_blocks * one.block_bytes;
    result.sums.batch_bytes += one.batch_blocks * one.block_bytes;
    result.sums.tail_bytes += one.tail_bytes();
  }
  for (const auto& [stack, counted] : stacks) {
    result.sites.push_back(site_of(result, counted));
    result.sites.back().stack = stack;
  }
  return result;
}

// Stacks that read the same are one site. What several can pin together is no more than their sum.
void name_sites(recorded_fragments& of, symbols::symbolizer& symbolizer) {
  frame_resolver frames(of.profile, symbolizer);
  std::map<std::string, std::size_t> by_place;
  std::vector<recorded_fragment_site> named;
  for (recorded_fragment_site& one : of.sites) {
    one.chain = frames.site_chain(one.stack);
    const auto [place, is_new] = by_place.try_emplace(shown_site(one.chain, one.stack), named.size());
    if (is_new) {
      named.push_back(std::move(one));
      continue;
    }
    recorded_fragment_site& into = named[place->second];
    into.live += one.live;
    into.usable_bytes += one.usable_bytes;
    into.most_pinned_bytes += one.most_pinned_bytes;
    into.even_pinned_bytes += one.even_pinned_bytes;
    into.oldest_ns = std::max(into.oldest_ns, one.oldest_ns);
  }
  std::stable_sort(named.begin(), named.end(), [](const auto& a, const auto& b) {
    return std::tuple(b.even_pinned_bytes, b.most_pinned_bytes, b.live.bytes) <
           std::tuple(a.even_pinned_bytes, a.most_pinned_bytes, a.live.bytes);
  });
  of.sites = std::move(named);
}

collect::memory_wish wish_of(const recorded_fragmentation_options& options) {
  const selection& selected = options.selected;
  if (options.at_ns) return {.at_ns = options.at_ns};
  if (options.at_peak) return {.to_ns = selected.end_ns};
  return {.at_ns = selected.end_ns, .to_ns = selected.end_ns};
}

}  // namespace

recorded_fragmentation_report find_recorded_fragments(collect::recording_reader& reader,
                                                      symbols::symbolizer& symbolizer,
                                                      const recorded_fragmentation_options& options) {
  // Of the whole heap: which blocks are spoken of is asked when the moment has come.
  const selection all{.process = options.selected.process};
  recording_walk walk(reader, symbolizer, all, options.progress, wish_of(options));
  walk.begin_before_memory();
  moment_counter counter(walk, options);
  walk.run(counter, [&](std::size_t process, const record::event& one, const live_block&, bool) {
    counter.note_entry(process, one);
  });
  recorded_fragmentation_report report;
  report.notes = walk.whole().run.notes;
  report.is_complete = walk.whole().is_complete;
  report.damage = walk.whole().damage;
  report.source = walk.whole().source;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    if (!walk.takes_process(i)) continue;
    recorded_fragments one = counter.take(i);
    walked_process& walked = walk.process(i);
    one.is_complete = walked.is_complete;
    one.losses = walked.losses;
    one.profile = std::move(walked.profile);
    walk.tell("finding names", static_cast<double>(i) / static_cast<double>(walk.size()));
    name_sites(one, symbolizer);
    report.processes.push_back(std::move(one));
  }
  return report;
}

}  // namespace tenure::analyze
