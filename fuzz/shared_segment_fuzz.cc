// A segment of shared memory as a peer may have left it: any header, and tables into which anything is written between
// the things that this process does with them. The memory ends where the tables do, so that an index which leads out of
// them is seen; what is not refused as damaged stays within the segment.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "library/resource/shared_blocks.h"
#include "library/resource/shared_layout.h"

namespace {

using namespace tenure::resources;

void require(bool holds) {
  if (!holds) std::abort();
}

void read_header(std::span<const std::byte> input) {
  segment_layout layout;
  if (validate_header(input, input.size(), layout) == nullptr) {
    require(layout.segment_bytes <= input.size());
    require(layout.data_offset + layout.data_bytes == layout.segment_bytes);
  }
  // The same with a check that is right, which a stranger knows how to make.
  if (input.size() < offsetof(segment_header, lock)) return;
  segment_header header{};
  std::memcpy(&header, input.data(), offsetof(segment_header, lock));
  header.magic = segment_magic;
  header.version = segment_version;
  header.check = check_of(header);
  std::vector<std::byte> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  if (validate_header(bytes, std::uint64_t{1} << 60, layout) == nullptr) {
    require(layout.tables_offset >= layout.top_offset + 2 * layout.chunks);
    require(layout.data_offset >= layout.tables_offset + layout.chunks * segment_layout::table_bytes);
    require(layout.segment_bytes == layout.data_offset + layout.data_bytes);
    require(layout.chunks != 0 && layout.leaves() << layout.smallest_shift == layout.data_bytes);
  }
}

// Commands of four bytes: what, and to what.
void act(std::span<const std::byte> input) {
  segment_layout layout;
  require(layout_of(std::uint64_t{4096} * 16 * 4, 16, layout) == nullptr);
  std::vector<std::uint64_t> memory((layout.data_offset + 7) / 8);
  auto* const segment = reinterpret_cast<std::byte*>(memory.data());
  bool is_refusing = false;
  shared_blocks blocks(
      segment, layout, [](void* refuses, std::size_t) { return !*static_cast<bool*>(refuses); }, &is_refusing);
  require(blocks.rebuild() == nullptr && blocks.find_fault() == nullptr);
  for (std::size_t at = 0; at + 4 <= input.size(); at += 4) {
    const auto what = static_cast<unsigned>(input[at]);
    const std::size_t to = static_cast<std::size_t>(input[at + 1]) << 8 | static_cast<std::size_t>(input[at + 2]);
    const auto value = static_cast<unsigned>(input[at + 3]);
    if (what % 8 == 0) {
      const std::size_t place = layout.committed_offset + to * 5 % (layout.data_offset - layout.committed_offset);
      segment[place] = input[at + 3];
    } else if (what % 8 == 1) {
      blocks.rebuild();
    } else if (what % 8 == 2) {
      static_cast<void>(blocks.find_fault());
    } else if (what % 8 == 3) {
      blocks.drop_free_chunks([&](std::size_t chunk) { require(chunk < layout.chunks); });
    } else if (what % 8 == 4) {
      const shared_block found = blocks.at(to << layout.smallest_shift);
      if (found.order != 0) blocks.give(found);
    } else if (what % 8 == 5) {
      is_refusing = value % 4 == 0;
    } else {
      const unsigned order = value % (layout.top_order + 3);
      const std::size_t offset = blocks.take(order, static_cast<unsigned>(to));
      if (offset < shared_blocks::damaged) {
        require(offset % layout.block_bytes(order) == 0 && offset + layout.block_bytes(order) <= layout.data_bytes);
      }
    }
  }
  blocks.for_each([&](const shared_block& one) {
    require(one.offset + layout.block_bytes(one.order) <= layout.data_bytes && one.slot < segment_slots);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const auto input = std::as_bytes(std::span(data, size_bytes));
  read_header(input);
  act(input);
  return 0;
}
