// Simulate report: hit ratios by policy and size, as text and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/cli/terminal.h"
#include "instruments/replay/simulate.h"
#include "instruments/replay/trace.h"

namespace tenure::cli {

struct cache_size {
  std::uint64_t capacity = 0;
  double share = 0;  // of all that the trace asks for
};

struct simulation_answer {
  std::string name;  // of the trace
  replay::trace_format format{};
  bool has_sizes = false;
  std::uint64_t requests = 0;
  replay::trace_summary summary;
  bool is_in_bytes = false;
  std::vector<std::string_view> policies;
  std::vector<cache_size> sizes;
  std::vector<replay::simulated> results;  // policy by policy, size by size

  const replay::simulated& result(std::size_t policy, std::size_t size) const {
    return results[policy * sizes.size() + size];
  }
  double hit_ratio(const replay::simulated& one) const;
  double byte_hit_ratio(const replay::simulated& one) const;
};

std::string simulation_text(const simulation_answer& answer, const palette& paint);
std::string simulation_json(const simulation_answer& answer);

// "12,345"
std::string with_commas(std::uint64_t number);
// "64K", "1.5M" of bytes; "12,345" of objects.
std::string size_text(std::uint64_t capacity, bool is_in_bytes);

}  // namespace tenure::cli
