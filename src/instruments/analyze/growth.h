// Growth: functions whose live bytes grow without end, from every allocation and free of a recording. For what is
// leaked although something leads to it.
//
//   events ─► live bytes of each function, at the end of windows of equal allocation ─► slopes ─► suspected, with
//   reasons
//
// The windows are not of time but of bytes that the process allocated: a machine under load, or a service at rest, has
// the same course. They double in width when there are too many, so memory does not grow with the recording.
//
// It is functions and not stacks that are judged: a cache that is full allocates at another line than it did before,
// and each line for itself would seem to grow.
//
// Suspected is a function whose slope is above zero with 99 % confidence after the first quarter, and still so in the
// last one: what fills a cache levels off, what builds up at the start is over by then. The slope is Theil's and Sen's,
// the median of those between all pairs of windows, and its interval Kendall's: neither asks for a distribution, and a
// burst does not bend it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "instruments/analyze/recording_walk.h"

namespace tenure::analyze {

// A value at the end of each of at most `most_windows` windows of equal width.
class window_series {
 public:
  static constexpr std::size_t most_windows = 128;

  // What it was until `position`; what it is from now on is set after.
  void advance(std::uint64_t position);
  void add(std::uint64_t amount) { value_ += amount; }
  void subtract(std::uint64_t amount) { value_ -= amount < value_ ? amount : value_; }

  std::uint64_t value() const { return value_; }
  std::uint64_t width() const { return std::uint64_t{1} << shift_; }
  // At the ends of the windows that are over.
  std::span<const std::uint64_t> ends() const { return ends_; }

 private:
  std::vector<std::uint64_t> ends_;
  std::uint64_t value_ = 0;
  unsigned shift_ = 10;
};

// A slope for each step, and the interval that holds it with 99 % confidence.
struct slope {
  double value = 0;
  double low = 0;
  double high = 0;
};
// Absent of fewer than eight values.
std::optional<slope> slope_of(std::span<const std::uint64_t> values);

// Whether the values grow to the end, and how fast after their first quarter.
std::optional<slope> unending_growth(std::span<const std::uint64_t> values);

struct growing_site {
  std::string function;
  std::uint32_t stack = no_index;  // that which holds most of it at the end
  slope bytes_per_mib;             // that stay for each MiB that the process allocates
  double bytes_per_second = 0;     // the same for the time that the process took
  std::uint64_t live_bytes = 0;    // at the end
  std::uint64_t live_blocks = 0;
  std::uint64_t allocated_blocks = 0;
  std::uint64_t freed_blocks = 0;
  std::uint64_t oldest_ns = 0;  // ages at the end
  std::uint64_t mean_age_ns = 0;
  std::vector<frame> chain;  // from the user frame outward

  double freed_share() const {
    return allocated_blocks == 0 ? 0 : static_cast<double>(freed_blocks) / static_cast<double>(allocated_blocks);
  }
};

struct growth_process {
  walked_process walked;
  std::vector<growing_site> suspects;  // by slope, greatest first
  std::size_t judged = 0;              // functions with enough allocations to be judged
};

// A function that allocated fewer blocks says nothing of its course.
inline constexpr std::uint64_t least_judged_blocks = 16;
// Of what a suspected one allocates, at most this share is freed.
inline constexpr double most_freed_share = 0.95;

struct growth_options {
  selection selected = {};
  progress_function progress = {};
};

std::vector<growth_process> find_growth(collect::recording_reader& reader, symbols::symbolizer& symbolizer,
                                        const growth_options& options);

}  // namespace tenure::analyze
