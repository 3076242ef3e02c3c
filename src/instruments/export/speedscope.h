// speedscope: a file for https://www.speedscope.app, which needs no server.
//
//   shared.frames     each function of each file and line once
//   profiles          for each process: allocated, held at the moment, never freed; one sample a stack, its weight in
//                     bytes
#pragma once

#include <string>

#include "instruments/export/exact_stacks.h"

namespace tenure::exporting {

// `by`: the profile that is shown first, of the main process.
std::string write_speedscope(const analyze::exact_report& report, exact_measure by, const measure_names& names);

}  // namespace tenure::exporting
