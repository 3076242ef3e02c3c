// From a recording to a profile.
#pragma once

#include "instruments/analyze/profile.h"

namespace tenure::analyze {

struct analyze_options {
  bool resolve_all_frames = false;  // for exports that name every frame, not only those that the report shows
};

profile analyze(collect::recording&& recording, symbols::symbolizer& symbolizer, const analyze_options& options);

}  // namespace tenure::analyze
