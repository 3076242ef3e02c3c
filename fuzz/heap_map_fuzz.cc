// The map of its heap as a hostile process writes it: the input is laid over a valid one.
//
//   input: { place: 2 bytes, length: 1 byte, bytes } ...   places modulo the length of what lies behind the header's
//   page
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "instruments/collect/heap_map.h"

namespace {

namespace wire = tenure::wire;

void require(bool condition) {
  if (!condition) std::abort();
}

void add_span(std::string& to, wire::span_record span, std::uint64_t bits) {
  to.append(reinterpret_cast<const char*>(&span), sizeof span);
  for (std::uint64_t i = 0; i < wire::map_words(span.block_count); ++i)
    to.append(reinterpret_cast<const char*>(i == 0 ? &bits : &(bits = 0)), sizeof bits);
}

std::string valid_map() {
  std::string text(wire::map_spans_offset_bytes, '\0');
  add_span(text, {0x100000, 0x4000, 0x100000, 64, 256, 0, 3, 2, 1, 250, 10, 20, 0}, 0b10101);
  add_span(text, {0x104000, 0x8000, 0x104000, 0x8000, 1, 1, 1, 0, 0, 0, 0, 0, 0x7001}, 1);
  add_span(text, {0x10c000, 0x4000, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0}, 0);
  add_span(text, {0x110000, 0x4000, 0x110000, 48, 341, 2, 1, 0, 0, 340, 0, 340, 0}, 1);
  wire::leak_scan_header header{};
  header.magic = wire::leak_scan_magic;
  header.version = wire::leak_scan_version;
  header.heap_map_bytes = text.size() - wire::map_spans_offset_bytes;
  std::memcpy(text.data(), &header, sizeof header);
  return text;
}

void check(const tenure::collect::heap_map& map) {
  std::uint64_t end = 0;
  std::size_t next_live = 0;
  for (const auto& one : map.spans) {
    require(one.begin >= end && one.bytes != 0 && one.begin + one.bytes > one.begin);
    end = one.begin + one.bytes;
    require(one.first_live == next_live && one.absent_blocks + one.unused_blocks <= one.free_blocks);
    next_live += one.live_blocks;
    require(next_live <= map.blocks.size());
    for (std::size_t i = one.first_live; i < next_live; ++i)
      require(map.blocks[i].address >= one.begin && map.blocks[i].address + map.blocks[i].bytes <= end);
  }
  require(next_live == map.blocks.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text = valid_map();
  const std::size_t reach = text.size() - wire::map_spans_offset_bytes;
  for (std::size_t at = 0; at + 3 < size;) {
    const std::size_t place = wire::map_spans_offset_bytes + (data[at] | data[at + 1] << 8) % reach;
    const std::size_t length = std::min({std::size_t{data[at + 2]} % 16 + 1, size - at - 3, text.size() - place});
    std::memcpy(text.data() + place, data + at + 3, length);
    at += 3 + length;
  }
  const std::filesystem::path path = "/dev/shm/tenure-heap-map-fuzz." + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  if (const auto map = tenure::collect::read_heap_map(path)) check(*map);
  std::filesystem::remove(path);
  return 0;
}
