#include "instruments/collect/heap_map.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "instruments/collect/scan_file.h"

namespace tenure::collect {
namespace {

// A bit is all that a process has to write for a block to be told: so many are taken and no more.
constexpr std::size_t most_blocks = std::size_t{1} << 25;

// Whatever a process writes there.
bool makes_sense(const wire::span_record& one, std::uint64_t least_begin) {
  if (one.kind >= wire::mapped_kind_count || one.bytes == 0 || one.begin < least_begin ||
      one.begin + one.bytes < one.begin)
    return false;
  const std::uint64_t told = std::uint64_t{one.live_blocks} + one.cached_blocks + one.batch_blocks + one.free_blocks;
  if (told != one.block_count || one.requested_bytes > one.bytes ||
      std::uint64_t{one.absent_blocks} + one.unused_blocks > one.free_blocks)
    return false;
  if (one.block_count == 0) return one.block_bytes == 0;
  if (one.block_bytes == 0 || one.first_block < one.begin || one.first_block - one.begin > one.bytes) return false;
  const std::uint64_t room_bytes = one.bytes - (one.first_block - one.begin);
  return one.block_count <= room_bytes / one.block_bytes;
}

mapped_span span_of(const wire::span_record& one, std::size_t first_live) {
  mapped_span span;
  span.begin = one.begin;
  span.bytes = one.bytes;
  span.kind = static_cast<wire::mapped_kind>(one.kind);
  span.first_block = one.first_block;
  span.block_bytes = one.block_bytes;
  span.block_count = one.block_count;
  span.live_blocks = one.live_blocks;
  span.cached_blocks = one.cached_blocks;
  span.batch_blocks = one.batch_blocks;
  span.free_blocks = one.free_blocks;
  span.absent_blocks = one.absent_blocks;
  span.unused_blocks = one.unused_blocks;
  span.requested_bytes = one.requested_bytes;
  span.first_live = static_cast<std::uint32_t>(first_live);
  return span;
}

// The blocks in use of one span. False when there are not as many as it says.
bool take_blocks(const wire::span_record& one, const std::vector<std::uint64_t>& bits, heap_map& into) {
  std::uint32_t taken = 0;
  for (std::size_t word = 0; word < bits.size(); ++word) {
    for (std::uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
      const std::uint64_t index = word * 64 + static_cast<std::uint64_t>(std::countr_zero(rest));
      if (index >= one.block_count || ++taken > one.live_blocks) return false;
      scanned_block& block = into.blocks.emplace_back();
      block.address = one.first_block + index * one.block_bytes;
      block.bytes = one.block_bytes;
      block.requested_bytes = one.requested_bytes;
      block.reach = wire::block_reach::reachable;
    }
  }
  return taken == one.live_blocks;
}

}  // namespace

std::optional<heap_map> read_heap_map(const std::filesystem::path& path) {
  const scan_file file(path);
  heap_map result;
  if (!file.read_header(result.header)) return std::nullopt;
  if (result.header.refusal != 0) return result;
  if (file.read(&result.statistics, sizeof result.statistics, wire::map_statistics_offset_bytes) !=
      sizeof result.statistics)
    return std::nullopt;
  std::uint64_t rest = std::min(result.header.heap_map_bytes, wire::heap_map_limit_bytes);
  std::uint64_t offset = wire::map_spans_offset_bytes;
  std::uint64_t least_begin = 0;
  std::vector<std::uint64_t> bits;
  while (rest != 0 && !result.is_cut) {
    wire::span_record one{};
    const bool is_read = rest >= sizeof one && file.read(&one, sizeof one, offset) == sizeof one;
    // One that says it has more blocks than there are bits is found out before room is made for them.
    const std::uint64_t bit_bytes = wire::map_words(one.block_count) * sizeof(std::uint64_t);
    if (!is_read || !makes_sense(one, least_begin) || bit_bytes > rest - sizeof one ||
        one.live_blocks > most_blocks - result.blocks.size()) {
      result.is_cut = true;
      break;
    }
    bits.assign(bit_bytes / sizeof(std::uint64_t), 0);
    if (file.read(bits.data(), bit_bytes, offset + sizeof one) != bit_bytes) {
      result.is_cut = true;
      break;
    }
    const std::size_t first_live = result.blocks.size();
    if (!take_blocks(one, bits, result)) {
      result.blocks.resize(first_live);
      result.is_cut = true;
      break;
    }
    result.spans.push_back(span_of(one, first_live));
    least_begin = one.begin + one.bytes;
    offset += sizeof one + bit_bytes;
    rest -= sizeof one + bit_bytes;
  }
  return result;
}

}  // namespace tenure::collect
