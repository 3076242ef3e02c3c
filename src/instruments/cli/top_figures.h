// What `tenure top` shows of one process, moment by moment, made from profiles of what is known until then.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "instruments/analyze/profile.h"

namespace tenure::cli {

enum class top_table { functions, lines, modules, threads, accounts };
inline constexpr std::size_t top_table_count = 5;
std::string_view name_of(top_table table);

struct top_row {
  std::string name;
  double live_bytes = 0;
  double live_error = 0;  // relative; 0 of accounts, which are exact
  double live_blocks = 0;
  double allocated_bytes = 0;   // since the process began to be watched, and what lives from before
  double bytes_per_second = 0;  // allocated, over the last ten seconds
  double limit_bytes = 0;       // of accounts; 0: none
};

// Parts of what is resident, in the order in which the bar shows them.
struct top_parts {
  double live = 0;     // in the program's hands
  double kept = 0;     // of the heap, and not: caches, free blocks and pages, metadata
  double outside = 0;  // everything else
};

struct top_figures {
  std::uint32_t pid = 0;
  std::string command;
  std::uint64_t watched_ns = 0;
  double resident_bytes = 0;
  double limit_bytes = 0;  // what the bar is of
  std::string limit_name;  // "the control group's limit", "the machine"
  top_parts parts;
  double live_bytes = 0;
  double live_error = 0;
  double bytes_per_second = 0;
  std::uint64_t samples = 0;
  std::uint64_t dropped_events = 0;
  std::array<std::vector<top_row>, top_table_count> rows;
  // One a moment, the newest last.
  std::deque<double> resident_course, live_course, rate_course;
  std::size_t process = 0, process_count = 1;  // which of those that are watched
};

// Keeps what one process was like before, for rates and courses.
class top_history {
 public:
  // `time_ns` is that of the profile's end, and grows.
  top_figures add(const analyze::process_profile& now, std::uint64_t time_ns);

 private:
  struct point {
    std::uint64_t time_ns = 0;
    double allocated_bytes = 0;
  };
  double rate(std::deque<point>& of, std::uint64_t time_ns, double allocated_bytes) const;
  top_row row_of(top_table table, const analyze::site_group& group, std::uint64_t time_ns);
  top_row row_of(const collect::account& account, std::uint64_t time_ns);

  std::array<std::unordered_map<std::string, std::deque<point>>, top_table_count> points_;
  std::deque<point> all_;
  std::uint64_t last_time_ns_ = 0;  // of the moment before; 0: there was none
  std::deque<double> resident_course_, live_course_, rate_course_;
};

// One stack of a row, with what it holds.
struct top_stack {
  double live_bytes = 0;
  double live_blocks = 0;
  double allocated_bytes = 0;
  std::vector<analyze::frame> frames;  // from the user frame outward
};

// Of the row of this name, the stacks that hold most, then those that allocate most.
std::vector<top_stack> stacks_of(analyze::process_profile& profile, symbols::symbolizer& symbolizer, top_table table,
                                 const std::string& name, std::size_t most);

}  // namespace tenure::cli
