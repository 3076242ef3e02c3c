// Finds the .eh_frame entry of an instruction address by the search table of .eh_frame_hdr.
//
//   .eh_frame_hdr   version, 3 encodings | address of .eh_frame | count | count * (code address, entry address), sorted
//   .eh_frame       CIE (what several entries share) ... FDE (one function) ...
//
// The bytes are not trusted: everything read lies in the ranges given.
#pragma once

#include <cstdint>

#include "core/telemetry/byte_range.h"
#include "core/telemetry/frame_program.h"

namespace tenure::telemetry {

// Address of the entry whose code begins last at or before `instruction`; 0 when there is none, or the table is of
// another kind than linkers write.
std::uint64_t find_entry(byte_range readable, std::uint64_t header_address, std::uint64_t instruction) noexcept;

// Takes the entry at `entry_address` and its CIE apart. False when it is broken.
bool parse_entry(byte_range readable, std::uint64_t entry_address, frame_entry* entry) noexcept;

// A pointer in one of the DW_EH_PE encodings; fails the reader on those that unwind information does not use.
std::uint64_t read_encoded(byte_reader& reader, std::uint8_t encoding, std::uint64_t data_base) noexcept;

}  // namespace tenure::telemetry
