// Full profile: that of a run whose every allocation and free was recorded while it was watched.
//
//   recording (in memory)   mappings, RSS, heap counters, accounts ──┐
//   recording file          events ──► counts by stack and thread ───┴──► profile, as analyze() makes one of samples
//
// The same figures as those of analyze(), but counted: no estimate, no error. The file is read once; what is kept is
// one entry for each stack and thread that went together and one for each live block.
//
// What is not counted exactly: the quantiles of lifetimes, which go by classes of a sixteenth of an octave (±3 %), and
// usable bytes, which are what the heap's size classes make of the requested ones.
#pragma once

#include "instruments/analyze/analyze.h"
#include "instruments/analyze/recording_walk.h"

namespace tenure::analyze {

// `file` is the recording that was written of `watched`. What the file has and `watched` has not is left out.
profile analyze_fully(collect::recording&& watched, collect::recording_reader& file, symbols::symbolizer& symbolizer,
                      const analyze_options& options);

}  // namespace tenure::analyze
