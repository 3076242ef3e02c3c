// A pprof profile (profile.proto of github.com/google/pprof) of memory: sums for each stack, at one moment.
//
//   sample     locations, the innermost first; a value for each sample type
//   location   lines: function and line, the innermost inlined one first; or an address in a mapping alone
//
//   inuse_objects, inuse_space   what was held; "objects" and "space" where they have no other name
//   alloc_objects, alloc_space   what was allocated until then; a profile may be without them
//
// There are no times, no lives and no threads in it. The names of its functions may stand behind all that uses them, so
// the whole of it is held in memory; it grows with what is distinct and not with what the program did.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include "instruments/import/imported_run.h"

namespace tenure::importing {

inline constexpr std::uint64_t pprof_limit_bytes = 1ull << 30;

// Of all bytes of the unpacked file. False when the recording could not be written. The error is a clause.
// The symbolizer is asked for places of which there is an address in a file and no name.
std::expected<bool, std::string> read_pprof(std::span<const std::uint8_t> bytes, imported_run& into,
                                            symbols::symbolizer& symbolizer);

}  // namespace tenure::importing
