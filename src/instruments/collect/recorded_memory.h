// Recorded memory: what a process holds at one moment, as a block of a recording: RSS, the heap's own counters, and now
// and then the mappings. The kernel and the heap tell it, not the events; so it explains memory that no allocation of
// the program's accounts for.
//
//   time, RSS, the heap's page, counters of the heap, its size classes, [mappings]
//
// docs/reference/recording-format.md has the order.
#pragma once

#include "instruments/collect/recording.h"
#include "instruments/record/byte_stream.h"

namespace tenure::collect {

// What the heap of this version rounds large blocks up to.
inline constexpr std::uint32_t heap_page_bytes = 16384;

// Of a map without mappings resident_bytes is told by itself.
record::byte_writer encode_memory(const memory_map& map, std::uint32_t page_bytes);

// False when it makes no sense; `into` is then of no use.
bool decode_memory(record::byte_reader from, memory_map& into, std::uint32_t& page_bytes);

}  // namespace tenure::collect
