#include "instruments/collect/process_totals.h"

#include <algorithm>
#include <utility>

#include "instruments/collect/recorded_memory.h"
#include "instruments/collect/rounding.h"

namespace tenure::collect {

void process_totals::follow(record::live_set& live, std::span<record::event> events) {
  const auto visit = [&](const record::event& one, const record::event* block) {
    while (!expected_.empty() && one.time_ns > expected_.front().time_ns) pass_moment(live);
    latest_ns_ = std::max(latest_ns_, one.time_ns);
    if (block != nullptr && block->stack != record::no_stack)
      stacks_.take(one, {block->stack, block->thread, block->bytes, block->time_ns});
  };
  live.follow(events, visit, [this](std::uint32_t stack) { stacks_.expect(stack); });
  if (!events.empty()) last_event_ns_ = std::max(last_event_ns_, events.back().time_ns);
}

void process_totals::expect(const memory_map& map) {
  if (map.time_ns < latest_ns_) return;
  memory_map moment;
  moment.time_ns = map.time_ns;
  moment.statistics = map.statistics;
  const auto later = std::find_if(expected_.begin(), expected_.end(),
                                  [&](const memory_map& one) { return one.time_ns > map.time_ns; });
  expected_.insert(later, std::move(moment));
}

void process_totals::pass_moment(const record::live_set& live) {
  const memory_map& map = expected_.front();
  const rounding sizes(map.statistics, heap_page_bytes);
  record::moment_total moment{map.time_ns, {}, 0};
  live.for_each([&](const record::event& one) {
    moment.live += {1, one.bytes};
    moment.usable_bytes += sizes.usable(one.bytes);
  });
  moments_.push_back(moment);
  expected_.pop_front();
}

record::told_totals process_totals::close(const record::live_set& live, std::uint64_t end_ns) {
  while (!expected_.empty()) pass_moment(live);
  end_ns = std::max(end_ns, last_event_ns_);
  live.for_each([&](const record::event& one) { stacks_.add_life(one.stack, one.time_ns, end_ns); });
  stacks_.close();
  record::told_totals result;
  result.events = live.told().events;
  result.stray_frees = live.told().stray_frees;
  result.last_event_ns = last_event_ns_;
  result.peak = stacks_.peak();
  result.peak_time_ns = stacks_.peak_time_ns();
  for (std::uint32_t stack = 0; stack < stacks_.size(); ++stack)
    if (stacks_.has(stack)) result.stacks.emplace_back(stack, stacks_.of(stack));
  result.freed.assign(stacks_.freed().begin(), stacks_.freed().end());
  std::sort(result.freed.begin(), result.freed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  result.moments = std::move(moments_);
  return result;
}

}  // namespace tenure::collect
