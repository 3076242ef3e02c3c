// OPT: what a cache that knew the future would hit. No policy can hit more when all entries weigh the same.
//
// Gives up what is asked for again the latest, the newcomer included. Source: Belady, A study of replacement algorithms
// for a virtual-storage computer, 1966. Where entries have weights that is a good choice and not the best, which is
// hard to find. Needs the whole trace: O(n log n) time, and 40 bytes a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tenure::eviction {

struct request {
  std::uint64_t identity = 0;
  std::uint32_t weight = 1;
};

// For each request the place of the next one for the same identity; the number of requests where there is none.
inline std::vector<std::size_t> next_uses(std::span<const request> trace) {
  std::vector<std::size_t> next(trace.size());
  std::unordered_map<std::uint64_t, std::size_t> seen;
  for (std::size_t place = trace.size(); place-- > 0;) {
    const auto [entry, is_new] = seen.try_emplace(trace[place].identity, place);
    next[place] = is_new ? trace.size() : std::exchange(entry->second, place);
  }
  return next;
}

// Calls `hit(place)` for each request that is one. `next`: next_uses(trace).
template <class function>
void replay_optimal(std::span<const request> trace, std::span<const std::size_t> next, std::uint64_t capacity,
                    function hit) {
  // What is here: by identity the next use and the weight, and in order of the next use.
  std::unordered_map<std::uint64_t, std::pair<std::size_t, std::uint32_t>> here;
  std::set<std::pair<std::size_t, std::uint64_t>> order;
  std::uint64_t used = 0;
  for (std::size_t place = 0; place < trace.size(); ++place) {
    const request& one = trace[place];
    if (const auto found = here.find(one.identity); found != here.end()) {
      if (found->second.second == one.weight) hit(place);
      order.erase({found->second.first, one.identity});
      used -= found->second.second;
      here.erase(found);
    }
    here[one.identity] = {next[place], one.weight};
    order.insert({next[place], one.identity});
    used += one.weight;
    while (used > capacity) {
      const auto latest = std::prev(order.end());
      const auto victim = here.find(latest->second);
      used -= victim->second.second;
      here.erase(victim);
      order.erase(latest);
    }
  }
}

inline std::uint64_t optimal_hits(std::span<const request> trace, std::uint64_t capacity) {
  std::uint64_t hits = 0;
  replay_optimal(trace, next_uses(trace), capacity, [&](std::size_t) { ++hits; });
  return hits;
}

}  // namespace tenure::eviction
