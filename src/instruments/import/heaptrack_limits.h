// What no file of heaptrack's exceeds: one that does is damaged, or wants to use up memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::importing {

inline constexpr std::uint64_t heaptrack_block_limit_bytes = 1ull << 47;
// Of all together: a few lines can name the same long texts and stacks over and over.
inline constexpr std::uint64_t heaptrack_allocated_limit_bytes = 1ull << 62;
inline constexpr std::size_t heaptrack_name_limit_bytes = std::size_t{512} << 20;
inline constexpr std::size_t heaptrack_frame_limit = 1024;       // of a stack, or of a place
inline constexpr std::size_t heaptrack_segment_limit = 1 << 20;  // mapped at once

}  // namespace tenure::importing
