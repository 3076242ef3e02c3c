// What lies where in a segment of shared memory, and what has to hold of one that somebody else has made.
//
//   offset 0      segment_header   magic, version, sizes; the lock, the root; who has joined
//   fixed part    committed        a byte a chunk: its tables and its pages are there
//                 top tree         a byte a node, down to whole chunks
//   tables        for each chunk   a word a smallest block, then the chunk's part of the tree
//   data          for each chunk   4096 smallest blocks
//
// Everything is addressed by its distance from the beginning. The sizes follow from two numbers, which are read once,
// checked, and kept in the process: whatever a peer writes afterwards, no index leads out of the mapping.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tenure::resources {

inline constexpr std::array<char, 8> segment_magic = {'T', 'e', 'n', 'u', 'r', 'e', 'S', 'h'};
inline constexpr std::uint32_t segment_version = 1;
inline constexpr unsigned segment_slots = 256;  // 0 is the segment itself: its blocks are nobody's
inline constexpr unsigned chunk_leaves_shift = 12;
inline constexpr std::size_t chunk_leaves = std::size_t{1} << chunk_leaves_shift;
inline constexpr unsigned chunk_order = chunk_leaves_shift + 1;  // orders count from 1 for a smallest block
inline constexpr std::size_t segment_alignment = 4096;           // of blocks, at most

// One who has joined. The figures follow from the words; they are there to be read quickly.
struct segment_slot {
  std::uint32_t generation;  // of those who had it before, too
  std::int32_t process;      // as it calls itself; 0: nobody
  std::uint64_t used_bytes;
  std::uint64_t used_blocks;
  std::uint64_t reserved;
};

struct segment_header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t segment_bytes;
  std::uint64_t data_bytes;
  std::uint32_t smallest_shift;
  std::uint32_t slots;
  std::uint64_t check;  // of what stands above
  std::array<char, 64> name;
  // What changes.
  alignas(64) std::uint32_t lock;
  std::uint32_t is_damaged;
  std::uint64_t root_offset;  // 0: none
  std::uint64_t recoveries;
  alignas(64) std::array<segment_slot, segment_slots> slot;
};

// The sizes and places of a segment.
struct segment_layout {
  std::size_t data_bytes = 0;
  unsigned smallest_shift = 0;
  std::size_t chunks = 0;
  unsigned top_order = 0;  // of the root
  std::size_t committed_offset = 0;
  std::size_t top_offset = 0;
  std::size_t tables_offset = 0;
  std::size_t data_offset = 0;
  std::size_t segment_bytes = 0;

  static constexpr std::size_t table_bytes = chunk_leaves * (sizeof(std::uint16_t) + 2);  // of a chunk

  std::size_t chunk_bytes() const noexcept { return chunk_leaves << smallest_shift; }
  std::size_t leaves() const noexcept { return chunks << chunk_leaves_shift; }
  std::size_t block_bytes(unsigned order) const noexcept {
    return order == 0 ? 0 : std::size_t{1} << smallest_shift << (order - 1);
  }
  // 0 where no block can be so large or so aligned.
  unsigned order_for(std::size_t bytes, std::size_t alignment) const noexcept;
};

// Null for sizes that fit, otherwise what is wrong with them.
const char* layout_of(std::uint64_t data_bytes, std::uint64_t smallest_bytes, segment_layout& layout) noexcept;

std::uint64_t check_of(const segment_header& header) noexcept;

// What can be said before anything is mapped, of the first bytes of a file of so many bytes. Null when it is a segment
// that this version reads, with its layout; otherwise what is wrong with it.
const char* validate_header(std::span<const std::byte> first_bytes, std::uint64_t file_bytes,
                            segment_layout& layout) noexcept;

}  // namespace tenure::resources
