#include "library/resource/shared_layout.h"

#include <algorithm>
#include <cstring>

#include "core/base/bits.h"

namespace tenure::resources {
namespace {

using core::align_up;
using core::floor_log2;
using core::is_power_of_two;

constexpr std::uint64_t least_smallest_bytes = 16;
constexpr std::uint64_t most_smallest_bytes = 1 << 20;
constexpr std::uint64_t most_data_bytes = std::uint64_t{1} << 44;
constexpr std::uint64_t most_chunks = 1 << 24;

}  // namespace

unsigned segment_layout::order_for(std::size_t bytes, std::size_t alignment) const noexcept {
  if (!is_power_of_two(alignment) || alignment > segment_alignment || bytes > data_bytes) return 0;
  const std::size_t needed = std::max({bytes, std::size_t{1} << smallest_shift, alignment});
  const unsigned log = floor_log2(needed) + (is_power_of_two(needed) ? 0 : 1);
  return log - smallest_shift + 1;
}

const char* layout_of(std::uint64_t data_bytes, std::uint64_t smallest_bytes, segment_layout& layout) noexcept {
  if (!is_power_of_two(smallest_bytes) || smallest_bytes < least_smallest_bytes ||
      smallest_bytes > most_smallest_bytes) {
    return "a smallest block is a power of two from 16 bytes to 1 MiB";
  }
  if (!is_power_of_two(data_bytes) || data_bytes > most_data_bytes || data_bytes < smallest_bytes * chunk_leaves ||
      data_bytes / (smallest_bytes * chunk_leaves) > most_chunks) {
    return "a segment is a power of two of at least 4096 smallest blocks and at most 16 TiB";
  }
  layout.data_bytes = data_bytes;
  layout.smallest_shift = floor_log2(smallest_bytes);
  layout.chunks = data_bytes / layout.chunk_bytes();
  layout.top_order = chunk_order + floor_log2(layout.chunks);
  layout.committed_offset = align_up(sizeof(segment_header), segment_alignment);
  layout.top_offset = layout.committed_offset + layout.chunks;
  layout.tables_offset = align_up(layout.top_offset + 2 * layout.chunks, segment_alignment);
  layout.data_offset = layout.tables_offset + layout.chunks * segment_layout::table_bytes;
  layout.segment_bytes = layout.data_offset + data_bytes;
  return nullptr;
}

std::uint64_t check_of(const segment_header& header) noexcept {
  std::uint64_t sum = 0xcbf29ce484222325u;
  unsigned char bytes[offsetof(segment_header, check)];
  std::memcpy(bytes, &header, sizeof bytes);
  for (const unsigned char one : bytes) sum = (sum ^ one) * 0x100000001b3u;
  return sum;
}

const char* validate_header(std::span<const std::byte> first_bytes, std::uint64_t file_bytes,
                            segment_layout& layout) noexcept {
  static_assert(std::is_trivially_copyable_v<segment_header>);
  if (first_bytes.size() < offsetof(segment_header, lock)) return "it is shorter than the header of a segment";
  segment_header header{};
  std::memcpy(&header, first_bytes.data(), offsetof(segment_header, lock));
  // The maker writes the magic last.
  if (header.magic == std::array<char, 8>{}) return "it is empty, or its maker has not finished";
  if (header.magic != segment_magic) return "it is no segment of Tenure's";
  if (header.version != segment_version) return "it was made by another version of Tenure, with another layout";
  if (header.check != check_of(header)) return "its header is damaged";
  if (header.header_bytes != sizeof(segment_header) || header.slots != segment_slots || header.smallest_shift >= 64 ||
      layout_of(header.data_bytes, std::uint64_t{1} << header.smallest_shift, layout) != nullptr ||
      header.segment_bytes != layout.segment_bytes) {
    return "its header has sizes that cannot be";
  }
  if (file_bytes < layout.segment_bytes) return "it has been cut: the file is shorter than its header says";
  return nullptr;
}

}  // namespace tenure::resources
