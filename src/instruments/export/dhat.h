// DHAT: a file for the viewer of valgrind's heap profiler (dh_view.html), version 2 of its format.
//
//   pps    one program point a stack: tb, tbk allocated; tl lifetimes together; mb, mbk at its own peak; gb, gbk at the
//          process's peak; eb, ebk at the end; fs frames, innermost first
//   ftbl   the frames by number; 0 is the root
//
// Times are microseconds, where DHAT's own are instructions. Reads and writes of blocks are not known (bkacc is false).
// The format holds one process.
#pragma once

#include <string>

#include "instruments/export/exact_stacks.h"

namespace tenure::exporting {

std::string write_dhat(const analyze::exact_process& process);

}  // namespace tenure::exporting
