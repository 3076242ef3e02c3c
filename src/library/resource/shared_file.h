// The file of a segment: made, opened, passed on; its pages had and given back.
#pragma once

#include <cstddef>

#include "library/resource/shared_layout.h"

namespace tenure::resources {

// So that touching the pages is no signal where the file system is full. False where it is.
bool reserve_in_segment(int file, std::size_t begin, std::size_t bytes) noexcept;
void punch_in_segment(int file, std::size_t begin, std::size_t bytes) noexcept;

segment_header first_header(const segment_layout& layout, const char* name) noexcept;

}  // namespace tenure::resources
