// Simulate: what caches of several sizes would have hit on a trace, each policy of tenure/eviction.hpp and OPT, which
// knows the future.
//
//     replay::plan plan{.policies = {"lru", "opt"}, .capacities = {1000, 10'000}};
//     for (const replay::simulated& one : replay::simulate(trace, plan)) ...
//
// A capacity is a number of objects, or of bytes: then an object takes its size, one byte at least, and one that comes
// back with another size is a miss. Simulations run side by side; OPT takes some 28 bytes a request, the others what
// they keep.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "instruments/replay/trace.h"

namespace tenure::replay {

// In the order in which they are shown; OPT is the last.
std::span<const std::string_view> policy_names();
inline constexpr std::string_view opt_name = "opt";

struct plan {
  std::vector<std::string_view> policies;  // of policy_names()
  std::vector<std::uint64_t> capacities;   // above 0
  bool is_in_bytes = false;
  unsigned threads = 1;
  // Called now and then, by the caller's thread, with the share that is done.
  std::function<void(double)> progress{};
};

struct simulated {
  std::string_view policy;
  std::uint64_t capacity = 0;
  std::uint64_t hits = 0;
  std::uint64_t hit_bytes = 0;
};

// Policy by policy, each with its capacities, in the order of the plan.
std::vector<simulated> simulate(const trace& of, const plan& what);

}  // namespace tenure::replay
