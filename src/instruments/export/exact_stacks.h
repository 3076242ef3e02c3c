// What the exports of a recording have in common: its stacks by name, and the figures that a stack can be weighed by.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "instruments/analyze/exact.h"

namespace tenure::exporting {

enum class exact_measure { allocated, at_moment, at_end, freed };

// visit(stack, amount) for each stack that has any of the measure. What was freed is told by the stacks that freed it.
template <class Visit>
void for_each_stack(const analyze::exact_process& process, exact_measure by, Visit&& visit) {
  if (by == exact_measure::freed) {
    for (const analyze::exact_free& one : process.frees) visit(one.stack, one.amount);
    return;
  }
  for (const analyze::exact_site& site : process.sites) {
    const analyze::exact_amount& amount = by == exact_measure::allocated   ? site.allocated
                                          : by == exact_measure::at_moment ? site.at_moment
                                                                           : site.at_end;
    if (amount.blocks != 0) visit(site.stack, amount);
  }
}

// "allocated", "held at the peak", "never freed", "freed here"; of a report that is of another moment or window, its
// own words.
struct measure_names {
  std::string at_moment = "held at the peak";
  std::string at_end = "never freed";

  const std::string& of(exact_measure by) const;
};

// One frame of a stack, with the location it came from: inlined functions share one.
struct stack_frame {
  const analyze::frame* what;
  std::uint32_t location;
};

// Innermost first, without the frames of the heap itself. All frames of the process must have been resolved.
std::vector<stack_frame> frames_of(const analyze::process_profile& process, std::uint32_t stack);

// Whether the module is the heap's own library.
bool is_heap(const collect::module& of);

// What stands for a stack of which nothing is known, and for the callers that a stack was too deep to tell.
inline constexpr std::string_view no_frames = "[no stack]";
inline constexpr std::string_view more_frames = "[more callers]";
bool is_cut_off(const analyze::process_profile& process, std::uint32_t stack);

// "main;load;parse": outermost first; a semicolon within a name becomes a comma.
std::string folded_stack(const analyze::process_profile& process, std::uint32_t stack);

// "shop (4711)"
std::string process_name(const analyze::process_profile& process);

// The process that the command became, or the first one; no_index when there is none.
std::uint32_t main_process_of(const analyze::exact_report& report);

// As a JSON string, quotes and all; bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& to, std::string_view text);
std::string json_string(std::string_view text);

}  // namespace tenure::exporting
