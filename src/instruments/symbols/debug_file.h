// Where the debug sections of a stripped file are.
//
//   <folder>/.build-id/ab/cdef....debug              by build-id, as Debian's -dbgsym packages install them
//   <the file's folder>[/.debug]/<debuglink>         by .gnu_debuglink, held against its CRC-32 or the build-id
//   <folder>/<the file's folder>/<debuglink>
//   $DEBUGINFOD_URLS                                 only when asked for
#pragma once

#include <optional>

#include "instruments/symbols/elf_file.h"
#include "instruments/symbols/symbolizer.h"

namespace tenure::symbols {

std::optional<elf_file> find_debug_file(const elf_file& stripped, const symbolizer_options& options);

}  // namespace tenure::symbols
