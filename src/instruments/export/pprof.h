// pprof: a profile in the format of `go tool pprof` (profile.proto, gzip), which many viewers read.
//
//   sample types   alloc_objects/count, alloc_space/bytes, inuse_objects/count, inuse_space/bytes (shown by default):
//                  the four that pprof knows as a heap profile. Values are unbiased sample by sample before summing;
//                  those of a recording are counts. Where stacks of frees were recorded, free_objects/count and
//                  free_space/bytes follow, by the stacks that freed
//   a sample       one stack, one requested size, one thread, one process; of a recording one stack, one process
//   labels         bytes (of one block), thread, process
//   locations      one an address, with its inlined functions, innermost first; the outermost is the one that links
//   drop_frames    the heap's own frames, which say nothing
//
// Frames that have no name are written as addresses of their mapping with its build-id, so that pprof can look them up.
#pragma once

#include <expected>
#include <string>

#include "instruments/analyze/exact.h"
#include "instruments/analyze/profile.h"

namespace tenure::exporting {

struct pprof_options {
  bool at_peak = false;          // in-use values at the peak of live bytes of each process, instead of at its end
  bool shows_allocated = false;  // alloc_space is the one that is shown by default
};

// The whole file. The error is one sentence.
std::expected<std::string, std::string> write_pprof(const analyze::profile& profile, const pprof_options& options);

// Of a recording, with all frames resolved. The peak is the report's moment, where another was asked for.
std::expected<std::string, std::string> write_pprof(const analyze::exact_report& report, const pprof_options& options);

}  // namespace tenure::exporting
