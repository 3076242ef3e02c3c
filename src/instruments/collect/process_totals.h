// Process totals: what the writer of a recording counts of a process while its events go by, so that nobody has to read
// them all again for a report of the whole (record/stack_totals.h).
//
// Of each moment at which the process's memory was told with its mappings it also says what was alive, as an analysis
// does that comes to it in the events: before the first one that is later. Such a moment may be told before the events
// that lead to it are; where one was told that had gone by already, nothing is said of it.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "instruments/collect/recording.h"
#include "instruments/record/live_set.h"
#include "instruments/record/stack_totals.h"

namespace tenure::collect {

class process_totals {
 public:
  // Has `live` follow the events, and counts them.
  void follow(record::live_set& live, std::span<record::event> events);
  // A moment of the process's memory.
  void expect(const memory_map& map);
  // Behind the last event. What is alive lives until then.
  record::told_totals close(const record::live_set& live, std::uint64_t end_ns);

 private:
  void pass_moment(const record::live_set& live);

  record::stack_totals stacks_;
  std::uint64_t last_event_ns_ = 0;  // of each block of events
  std::uint64_t latest_ns_ = 0;      // of all events
  std::deque<memory_map> expected_;  // moments that have not come, in order; without their mappings
  std::vector<record::moment_total> moments_;
};

}  // namespace tenure::collect
