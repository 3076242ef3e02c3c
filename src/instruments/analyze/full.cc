#include "instruments/analyze/full.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <unordered_map>
#include <utility>

#include "instruments/analyze/contents.h"
#include "instruments/analyze/course.h"
#include "instruments/analyze/findings.h"
#include "instruments/analyze/grouping.h"
#include "instruments/analyze/life_classes.h"
#include "instruments/analyze/lifetime.h"
#include "instruments/collect/rounding.h"

namespace tenure::analyze {
namespace {

using collect::rounding;

struct count {
  std::uint64_t blocks = 0, bytes = 0, usable_bytes = 0;

  void add(const count& other) {
    blocks += other.blocks;
    bytes += other.bytes;
    usable_bytes += other.usable_bytes;
  }
  void take(const count& other) {
    blocks -= other.blocks;
    bytes -= other.bytes;
    usable_bytes -= other.usable_bytes;
  }
};

amount amount_of(const count& of) {
  const auto exactly = [](std::uint64_t value) { return estimate{static_cast<double>(value), 0}; };
  return {exactly(of.bytes), exactly(of.usable_bytes), exactly(of.blocks), of.blocks};
}

// What one thread allocated by one stack. at_peak is put down late, as exact.h tells.
struct tally {
  group_source::place place;
  count allocated, live, at_peak;
  std::uint64_t peak = 0;  // the last one for which at_peak was put down
  std::uint64_t freed_elsewhere_bytes = 0;
  std::vector<std::uint64_t> ended_bytes;  // by life class
  std::array<double, lifetime_bucket_count> ended_by_log2{};
  std::unordered_map<std::uint32_t, std::uint64_t> open_bytes;  // likewise, of blocks that were never freed
  std::map<std::uint32_t, std::uint64_t> freed_bytes;           // by the stack of the free, where it was told
};

class open_account {
 public:
  explicit open_account(const collect::process_record& record)
      : rounding_(record.statistics, record.page_bytes), moments_(moments_of(record)) {}

  void take(const record::event& one, const live_block& block) {
    pass(one.time_ns);
    tally& of = tally_of(block.stack, block.thread);
    put_down(of);
    const count amount{1, block.bytes, rounding_.usable(block.bytes)};
    if (one.kind == record::event_kind::allocation) {
      of.allocated.add(amount);
      of.live.add(amount);
      live_.add(amount);
      if (live_.bytes <= peak_bytes_) return;
      peak_bytes_ = live_.bytes;
      peak_time_ns_ = one.time_ns;
      ++peak_;
    } else {
      of.live.take(amount);
      live_.take(amount);
      const std::uint64_t duration_ns = one.time_ns > block.time_ns ? one.time_ns - block.time_ns : 0;
      const std::uint32_t life = life_class_of(duration_ns);
      if (life >= of.ended_bytes.size()) of.ended_bytes.resize(life + 1);
      of.ended_bytes[life] += block.bytes;
      of.ended_by_log2[duration_ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width(duration_ns) - 1)] +=
          static_cast<double>(block.bytes);
      if (one.thread != block.thread) of.freed_elsewhere_bytes += block.bytes;
      if (one.stack != record::no_stack) of.freed_bytes[one.stack] += block.bytes;
    }
  }

  // No event comes any more. `blocks` are those that live.
  void close(const std::vector<live_block>& blocks, std::uint64_t end_ns) {
    pass(~0ull);
    for (tally& one : tallies_) put_down(one);
    for (const live_block& block : blocks) {
      if (block.stack == no_index) continue;
      const std::uint64_t duration_ns = end_ns > block.time_ns ? end_ns - block.time_ns : 0;
      tally_of(block.stack, block.thread).open_bytes[life_class_of(duration_ns)] += block.bytes;
    }
  }

  std::uint64_t peak_time_ns() const { return peak_time_ns_; }
  std::vector<tally>& tallies() { return tallies_; }
  // Of one of moments_of(record).
  count live_at(std::uint64_t time_ns) const {
    const auto place = std::lower_bound(moments_.begin(), moments_.end(), time_ns);
    const auto index = static_cast<std::size_t>(place - moments_.begin());
    return index < live_then_.size() ? live_then_[index] : count{};
  }

 private:
  // What is live at a moment is what was before the first event after it.
  void pass(std::uint64_t time_ns) {
    while (live_then_.size() < moments_.size() && moments_[live_then_.size()] < time_ns) live_then_.push_back(live_);
  }
  tally& tally_of(std::uint32_t stack, std::uint32_t thread) {
    const auto [place, is_new] = by_place_.try_emplace(std::uint64_t{stack} << 32 | thread, tallies_.size());
    if (is_new) tallies_.emplace_back().place = {stack, thread};
    return tallies_[place->second];
  }
  void put_down(tally& of) const {
    if (of.peak == peak_) return;
    of.at_peak = of.live;
    of.peak = peak_;
  }

  rounding rounding_;
  std::vector<std::uint64_t> moments_;
  std::vector<count> live_then_;  // parallel to the moments that have passed
  std::vector<tally> tallies_;
  std::unordered_map<std::uint64_t, std::size_t> by_place_;
  count live_;
  std::uint64_t peak_ = 1;
  std::uint64_t peak_bytes_ = 0;
  std::uint64_t peak_time_ns_ = 0;
};

// Several tallies as one call site.
class sum {
 public:
  void add(const tally& one) {
    site_.allocated += amount_of(one.allocated);
    site_.live_at_peak += amount_of(one.at_peak);
    site_.live_at_exit += amount_of(one.live);
    count freed = one.allocated;
    freed.take(one.live);
    lifetime_summary& lives = site_.lifetimes;
    lives.freed += amount_of(freed);
    lives.never_freed += amount_of(one.live);
    lives.freed_by_other_thread_bytes += static_cast<double>(one.freed_elsewhere_bytes);
    for (std::size_t bucket = 0; bucket < lifetime_bucket_count; ++bucket)
      lives.freed_bytes_by_log2_ns[bucket] += one.ended_by_log2[bucket];
    if (one.ended_bytes.size() > ended_.size()) ended_.resize(one.ended_bytes.size());
    for (std::size_t life = 0; life < one.ended_bytes.size(); ++life) ended_[life] += one.ended_bytes[life];
    for (const auto& [life, bytes] : one.open_bytes) open_[life] += bytes;
    for (const auto& [stack, bytes] : one.freed_bytes) freed_[stack] += bytes;
  }

  call_site close() {
    std::vector<observed_life> lives;
    for (std::uint32_t life = 0; life < ended_.size(); ++life)
      if (ended_[life] != 0) lives.push_back({middle_of_life_class(life), static_cast<double>(ended_[life]), true});
    for (const auto& [life, bytes] : open_)
      lives.push_back({middle_of_life_class(life), static_cast<double>(bytes), false});
    set_quantiles(site_.lifetimes, lives);
    for (const auto& [stack, bytes] : freed_) site_.lifetimes.freed_by.push_back({stack, static_cast<double>(bytes)});
    sort_freed_by(site_.lifetimes);
    return site_;
  }

 private:
  call_site site_;
  std::vector<std::uint64_t> ended_;
  std::unordered_map<std::uint32_t, std::uint64_t> open_;
  std::map<std::uint32_t, std::uint64_t> freed_;
};

group_source source_of(const std::vector<tally>& tallies) {
  group_source source;
  for (const tally& one : tallies) source.places.push_back(one.place);
  source.aggregate = [&tallies](std::uint32_t key_count, const group_source::key_function& key_of) {
    std::vector<sum> sums(key_count);
    for (std::size_t index = 0; index < tallies.size(); ++index) sums[key_of(index)].add(tallies[index]);
    std::vector<call_site> sites;
    for (sum& one : sums) sites.push_back(one.close());
    return sites;
  };
  return source;
}

// The numbers of stacks and threads in the file are those of the record: it was written from it.
void drop_strangers(const collect::process_record& record, std::vector<tally>& tallies) {
  std::erase_if(tallies, [&](const tally& one) {
    return one.place.stack >= record.stacks.size() || one.place.thread >= record.threads.size();
  });
}

process_profile profile_of(collect::process_record&& record, open_account& account, const full_account& full,
                           symbols::symbolizer& symbolizer, const analyze_options& options,
                           const share_function& progress) {
  process_profile result;
  result.record = std::move(record);
  result.full = full;
  result.live_peak_time_ns = account.peak_time_ns();
  std::vector<tally>& tallies = account.tallies();
  drop_strangers(result.record, tallies);
  const group_source source = source_of(tallies);
  frame_resolver frames(result, symbolizer);
  group_sites(result, source, frames, progress);
  call_site whole = source.aggregate(1, [](std::size_t) { return 0u; })[0];
  result.allocated = whole.allocated;
  result.live_at_peak = whole.live_at_peak;
  result.live_at_exit = whole.live_at_exit;
  result.lifetimes = whole.lifetimes;
  add_course(result,
             {.bytes_at = [&](std::uint64_t time_ns) { return static_cast<double>(account.live_at(time_ns).bytes); },
              .amount_at = [&](std::uint64_t time_ns) { return amount_of(account.live_at(time_ns)); }});
  result.contents = contents_of(result, frames);
  if (options.resolve_all_frames) frames.resolve_all();
  result.findings = find_all(result);
  return result;
}

// Which process of the file was written of a watched one; no_index: none, since it told nothing.
std::uint32_t number_in_file(recording_walk& walk, const collect::process_record& watched) {
  for (std::uint32_t index = 0; index < walk.size(); ++index) {
    const collect::process_record& in_file = walk.process(index).profile.record;
    if (in_file.pid == watched.pid && in_file.generation == watched.generation && in_file.start_ns == watched.start_ns)
      return index;
  }
  return no_index;
}

}  // namespace

profile analyze_fully(collect::recording&& watched, collect::recording_reader& file, symbols::symbolizer& symbolizer,
                      const analyze_options& options) {
  profile result;
  std::vector<collect::process_record> records = std::move(watched.processes);
  result.run = std::move(watched);
  result.run.processes.clear();
  const selection all;
  recording_walk walk(file, symbolizer, all, options.progress);
  std::vector<open_account> accounts;
  std::vector<std::uint32_t> number_of, account_of(walk.size(), no_index);
  for (std::uint32_t index = 0; index < records.size(); ++index) {
    accounts.emplace_back(records[index]);
    number_of.push_back(number_in_file(walk, records[index]));
    if (number_of.back() != no_index) account_of[number_of.back()] = index;
  }
  walk.run([&](std::size_t process, const record::event& one, const live_block& block) {
    if (account_of[process] != no_index) accounts[account_of[process]].take(one, block);
  });
  const std::vector<live_block> none;
  for (std::uint32_t index = 0; index < records.size(); ++index) {
    const bool is_told = number_of[index] < walk.size();  // fewer where the file is damaged
    full_account full;
    full.is_complete = walk.whole().is_complete;
    if (is_told) {
      const walked_process& told = walk.process(number_of[index]);
      full = {told.events, told.stray_frees, told.losses, told.is_complete};
    }
    accounts[index].close(is_told ? walk.blocks(number_of[index]) : none, records[index].end_ns);
    result.processes.push_back(profile_of(std::move(records[index]), accounts[index], full, symbolizer, options,
                                          walk.part("finding names", index, records.size())));
  }
  result.main_process = main_process_of(result);
  result.symbol_notes = symbolizer.notes();
  return result;
}

}  // namespace tenure::analyze
