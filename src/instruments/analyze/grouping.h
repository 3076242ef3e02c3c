// Grouping: call sites by what a reader can act on: function, source line, module, thread.
#pragma once

#include "instruments/analyze/aggregate.h"
#include "instruments/analyze/progress.h"
#include "instruments/analyze/user_frame.h"

namespace tenure::analyze {

// What is grouped, one by one: the samples, or what was counted of one stack in one thread.
struct group_source {
  struct place {
    std::uint32_t stack = no_index;
    std::uint32_t thread = no_index;
  };
  using key_function = std::function<std::uint32_t(std::size_t)>;

  std::vector<place> places;
  // One site a key, in order of the keys; the function gives the key of each place.
  std::function<std::vector<call_site>(std::uint32_t key_count, const key_function&)> aggregate;
};

// Fills sites and the four groupings of the profile. Groups by module and thread count everything once; those by
// function and line name a stack by its user frame.
void group_sites(process_profile& profile, const group_source& source, frame_resolver& frames,
                 const share_function& progress = {});

// The samples of the profile as a source; both outlive it.
group_source samples_of(const process_profile& profile, const replay& course);

// What the groups by thread and by line are called.
std::string thread_label(const collect::thread& one);
std::string line_label(const frame& one);

}  // namespace tenure::analyze
