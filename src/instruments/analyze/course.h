// Course: what a profile says of certain moments, as soon as somebody knows what was live then.
//
//   the record's maps, resident bytes, end ──► moments ──► live bytes of each ──► parts of memory, timeline, growth
#pragma once

#include <functional>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

struct live_course {
  std::function<double(std::uint64_t time_ns)> bytes_at;   // asked for often
  std::function<amount(std::uint64_t time_ns)> amount_at;  // for the few moments of which more is told
};

// The moments that add_course() will ask for, in order of time, each once.
std::vector<std::uint64_t> moments_of(const collect::process_record& record);

// Peak RSS, where the memory lives, timeline and live_late.
void add_course(process_profile& profile, const live_course& live);

}  // namespace tenure::analyze
