// Trace: what was asked of a cache, one request after the other.
//
//   a file ─▶ trace_reader (trace_reader.h) ─▶ trace ─▶ simulate() (simulate.h) ─▶ hits by policy and size
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tenure::replay {

enum class trace_format { oracle_general, csv, integers, arc, lirs };

// As --format takes it; absent for another word.
std::optional<trace_format> format_named(std::string_view name);
std::string_view name_of(trace_format format);

// `identity` is the object's number or text, mixed so that its bits say nothing of the order: two numbers never become
// one.
struct request {
  std::uint64_t identity = 0;
  std::uint32_t size_bytes = 1;
};

std::uint64_t identity_of(std::uint64_t number) noexcept;
std::uint64_t identity_of(std::string_view text) noexcept;

struct trace {
  trace_format format = trace_format::integers;
  bool has_sizes = false;  // without them each object counts as one byte
  std::vector<request> requests{};
};

struct trace_summary {
  std::uint64_t requested_bytes = 0;
  std::uint64_t distinct_objects = 0;
  std::uint64_t distinct_bytes = 0;  // each object as large as it was when it was first asked for
};

trace_summary summary_of(const trace& of);

}  // namespace tenure::replay
