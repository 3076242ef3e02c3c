// The picture of a heap: a character for each piece of it, in order of addresses.
//
//   #  at least three quarters of it in use     c  free in caches     d  free pages that may be resident
//   +  at least a quarter                       L  large blocks       _  free pages that cost nothing, and gaps
//   .  less
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "instruments/collect/heap_map.h"

namespace tenure::analyze {

// At most `most_pieces` characters. *piece_bytes: what one stands for.
std::string heap_picture(const std::vector<collect::mapped_span>& spans, std::size_t most_pieces,
                         std::uint64_t* piece_bytes);

}  // namespace tenure::analyze
