#include "instruments/collect/recorded_memory.h"

#include <array>
#include <utility>

namespace tenure::collect {
namespace {

using counter = std::uint64_t wire::heap_statistics::*;
using class_counter = std::uint64_t wire::size_class_statistics::*;

// Those of one moment, in the order of the format. What is a total since the start is not among them.
constexpr std::array<counter, 13> counters = {
    &wire::heap_statistics::chunk_bytes,
    &wire::heap_statistics::small_span_bytes,
    &wire::heap_statistics::large_span_bytes,
    &wire::heap_statistics::large_span_count,
    &wire::heap_statistics::named_heap_span_bytes,
    &wire::heap_statistics::sampled_span_bytes,
    &wire::heap_statistics::free_dirty_bytes,
    &wire::heap_statistics::free_clean_bytes,
    &wire::heap_statistics::metadata_bytes,
    &wire::heap_statistics::thread_cache_count,
    &wire::heap_statistics::huge_page_bytes,
    &wire::heap_statistics::window_begin,
    &wire::heap_statistics::window_end,
};
constexpr std::array<class_counter, 6> class_counters = {
    &wire::size_class_statistics::span_count,          &wire::size_class_statistics::span_bytes,
    &wire::size_class_statistics::central_free_blocks, &wire::size_class_statistics::absent_blocks,
    &wire::size_class_statistics::transfer_blocks,     &wire::size_class_statistics::handed_out_blocks,
};

constexpr std::uint64_t mapping_limit = 1 << 20;
constexpr std::uint64_t page_limit_bytes = std::uint64_t{1} << 31;

void write_mapping(record::byte_writer& to, const mapping& one, std::uint64_t& last_end) {
  to.signed_number(static_cast<std::int64_t>(one.begin - last_end));
  to.number(one.end - one.begin);
  last_end = one.end;
  for (const std::uint64_t figure : {one.offset_bytes, one.resident_bytes, one.anonymous_bytes, one.swapped_bytes})
    to.number(figure);
  to.text(one.permissions);
  to.text(one.name);
}

mapping read_mapping(record::byte_reader& from, std::uint64_t& last_end) {
  mapping one;
  one.begin = last_end + static_cast<std::uint64_t>(from.signed_number());
  one.end = one.begin + from.number();
  last_end = one.end;
  for (std::uint64_t* figure : {&one.offset_bytes, &one.resident_bytes, &one.anonymous_bytes, &one.swapped_bytes})
    *figure = from.number();
  one.permissions = from.text();
  one.name = from.text();
  return one;
}

}  // namespace

record::byte_writer encode_memory(const memory_map& map, std::uint32_t page_bytes) {
  record::byte_writer block;
  block.number(map.time_ns);
  block.number(map.resident_bytes);
  block.number(page_bytes);
  for (const counter one : counters) block.number(map.statistics.*one);
  std::uint64_t classes = 0;
  for (const wire::size_class_statistics& one : map.statistics.classes) classes += one.block_bytes != 0 ? 1 : 0;
  block.number(classes);
  for (const wire::size_class_statistics& one : map.statistics.classes) {
    if (one.block_bytes == 0) continue;
    block.number(one.block_bytes);
    for (const class_counter figure : class_counters) block.number(one.*figure);
  }
  block.number(map.mappings.size() < mapping_limit ? map.mappings.size() : 0);
  std::uint64_t last_end = 0;
  if (map.mappings.size() < mapping_limit)
    for (const mapping& one : map.mappings) write_mapping(block, one, last_end);
  return block;
}

bool decode_memory(record::byte_reader from, memory_map& into, std::uint32_t& page_bytes) {
  into = {};
  into.time_ns = from.number();
  into.resident_bytes = from.number();
  page_bytes = static_cast<std::uint32_t>(from.number_below(page_limit_bytes));
  for (const counter one : counters) into.statistics.*one = from.number();
  const std::uint64_t classes = from.number_below(wire::size_class_capacity + 1);
  for (std::uint64_t i = 0; i < classes; ++i) {
    wire::size_class_statistics& one = into.statistics.classes[i];
    one.block_bytes = from.number();
    for (const class_counter figure : class_counters) one.*figure = from.number();
  }
  std::uint64_t last_end = 0;
  for (std::uint64_t left = from.number_below(mapping_limit); left != 0 && from.ok(); --left)
    into.mappings.push_back(read_mapping(from, last_end));
  return from.ok() && page_bytes != 0;
}

}  // namespace tenure::collect
