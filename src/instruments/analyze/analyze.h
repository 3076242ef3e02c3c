// From a recording to a profile.
#pragma once

#include "instruments/analyze/profile.h"
#include "instruments/analyze/progress.h"

namespace tenure::analyze {

struct analyze_options {
  bool resolve_all_frames = false;  // for exports that name every frame, not only those that the report shows
  bool bounds_live = true;          // by the heap's counters; not where those may be older than the samples
  progress_function progress = {};
};

// The last image of the direct child: what the command became. no_index when it never told anything.
std::uint32_t main_process_of(const profile& of);

profile analyze(collect::recording&& recording, symbols::symbolizer& symbolizer, const analyze_options& options);

}  // namespace tenure::analyze
