#include "library/resource/shared_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/yield_point.h"

namespace tenure::resources {
namespace {

constexpr const char* overlap = "a block's word says that it overlaps another one, or the end";
constexpr const char* not_there = "a block lies where no pages are";

std::uint16_t encode(unsigned order, unsigned slot) noexcept { return static_cast<std::uint16_t>(order | slot << 6); }

std::uint8_t joined(std::uint8_t left, std::uint8_t right, unsigned order) noexcept {
  const bool is_whole = left == order - 1 && right == order - 1;
  return is_whole ? static_cast<std::uint8_t>(order) : std::max(left, right);
}

}  // namespace

std::uint8_t& shared_blocks::value(std::size_t place, unsigned order) const noexcept {
  if (order >= chunk_order) return top()[(std::size_t{1} << (layout_.top_order - order)) + place];
  const unsigned below = chunk_order - order;
  const std::size_t first = std::size_t{1} << below;
  return subtree(place >> below)[first + (place & (first - 1))];
}

bool shared_blocks::commit_all(std::size_t place, unsigned order) noexcept {
  const unsigned above = order > chunk_order ? order - chunk_order : 0;
  const std::size_t first = order >= chunk_order ? place << above : place >> (chunk_order - order);
  for (std::size_t chunk = first; chunk < first + (std::size_t{1} << above); ++chunk) {
    if (is_committed(chunk)) continue;
    if (!commit_(context_, chunk)) return false;
    TENURE_YIELD_POINT();
    committed()[chunk] = 1;
  }
  return true;
}

// A node that is wholly free: its halves are as they were when it last became whole. False without pages.
bool shared_blocks::split(std::size_t place, unsigned order) noexcept {
  if (order == chunk_order && !commit_all(place, order)) return false;
  if (value(place, order) == order) {
    value(2 * place, order - 1) = value(2 * place + 1, order - 1) = static_cast<std::uint8_t>(order - 1);
    TENURE_YIELD_POINT();
  }
  return true;
}

void shared_blocks::mend_above(std::size_t place, unsigned order) noexcept {
  while (order < layout_.top_order) {
    place /= 2;
    ++order;
    const std::uint8_t now = joined(value(2 * place, order - 1), value(2 * place + 1, order - 1), order);
    if (value(place, order) == now) return;
    value(place, order) = now;
    TENURE_YIELD_POINT();
  }
}

std::size_t shared_blocks::take(unsigned order, unsigned slot_number) noexcept {
  if (order == 0 || order > layout_.top_order || value(0, layout_.top_order) < order) return none;
  std::size_t place = 0;
  for (unsigned at = layout_.top_order; at > order; --at) {
    if (!split(place, at)) return none;
    place = 2 * place + (value(2 * place, at - 1) >= order ? 0 : 1);
  }
  if (!commit_all(place, order)) return none;
  const std::size_t leaf = place << (order - 1);
  if (value(place, order) != order || word_of(leaf) != 0) return damaged;
  __atomic_store_n(&word_of(leaf), encode(order, slot_number), __ATOMIC_RELEASE);  // from here on it is his
  TENURE_YIELD_POINT();
  value(place, order) = 0;
  TENURE_YIELD_POINT();
  mend_above(place, order);
  slot(slot_number).used_bytes += layout_.block_bytes(order);
  TENURE_YIELD_POINT();
  slot(slot_number).used_blocks += 1;
  return leaf << layout_.smallest_shift;
}

shared_block shared_blocks::at(std::size_t offset) const noexcept {
  const std::size_t leaf = offset >> layout_.smallest_shift;
  if (leaf >= layout_.leaves() || offset != leaf << layout_.smallest_shift) return {offset, 0, 0};
  if (!is_committed(leaf >> chunk_leaves_shift)) return {offset, 0, 0};
  const shared_block block = decode(offset, __atomic_load_n(&word_of(leaf), __ATOMIC_RELAXED));
  const bool can_be =
      block.order != 0 && block.order <= layout_.top_order && (leaf & ((std::size_t{1} << (block.order - 1)) - 1)) == 0;
  return can_be ? block : shared_block{offset, 0, 0};
}

void shared_blocks::give(const shared_block& block) noexcept {
  const std::size_t leaf = block.offset >> layout_.smallest_shift;
  const std::size_t place = leaf >> (block.order - 1);
  __atomic_store_n(&word_of(leaf), std::uint16_t{0}, __ATOMIC_RELEASE);  // from here on it is nobody's
  TENURE_YIELD_POINT();
  // A chunk without pages has no part of the tree; what is free of it is then told in the top.
  value(place, block.order) = static_cast<std::uint8_t>(block.order);
  TENURE_YIELD_POINT();
  mend_above(place, block.order);
  slot(block.slot).used_bytes -= layout_.block_bytes(block.order);
  TENURE_YIELD_POINT();
  slot(block.slot).used_blocks -= 1;
}

void shared_blocks::hand_over(const shared_block& block, unsigned to) noexcept {
  __atomic_store_n(&word_of(block.offset >> layout_.smallest_shift), encode(block.order, to), __ATOMIC_RELEASE);
  TENURE_YIELD_POINT();
  slot(block.slot).used_bytes -= layout_.block_bytes(block.order);
  slot(block.slot).used_blocks -= 1;
  TENURE_YIELD_POINT();
  slot(to).used_bytes += layout_.block_bytes(block.order);
  slot(to).used_blocks += 1;
}

// Nodes above the leaves, which have their values; values[1] is the root.
void shared_blocks::mend_all(std::uint8_t* values, std::size_t leaves, unsigned leaf_order) noexcept {
  unsigned order = leaf_order;
  for (std::size_t first = leaves / 2; first != 0; first /= 2) {
    ++order;
    for (std::size_t node = first; node < 2 * first; ++node) {
      values[node] = joined(values[2 * node], values[2 * node + 1], order);
    }
  }
}

template <class Visit>
const char* shared_blocks::read_chunk(std::size_t chunk, std::size_t& covered, std::uint8_t* values,
                                      Visit visit) const noexcept {
  const std::size_t first_leaf = chunk << chunk_leaves_shift;
  const bool is_inside = covered > first_leaf;  // of a block that began earlier
  if (!is_committed(chunk)) {
    values[1] = chunk_order;  // the root's, which is all that is told of it: most of a segment is address space
    return is_inside ? not_there : nullptr;
  }
  std::fill_n(values + chunk_leaves, chunk_leaves, static_cast<std::uint8_t>(is_inside ? 0 : 1));
  for (std::size_t i = 0; i < chunk_leaves; ++i) {
    if (words(chunk)[i] == 0) continue;
    const shared_block block = at((first_leaf + i) << layout_.smallest_shift);
    const std::size_t blocks_leaves = std::size_t{1} << block.order >> 1;
    if (block.order == 0 || first_leaf + i < covered) return overlap;
    covered = first_leaf + i + blocks_leaves;
    std::fill_n(values + chunk_leaves + i, std::min(blocks_leaves, chunk_leaves - i), std::uint8_t{0});
    visit(block);
  }
  mend_all(values, chunk_leaves, 1);
  return nullptr;
}

const char* shared_blocks::rebuild() noexcept {
  for (unsigned i = 0; i < segment_slots; ++i) slot(i).used_bytes = slot(i).used_blocks = 0;
  std::array<std::uint8_t, 2 * chunk_leaves> values{};
  std::size_t covered = 0;
  for (std::size_t chunk = 0; chunk < layout_.chunks; ++chunk) {
    const char* const fault = read_chunk(chunk, covered, values.data(), [&](const shared_block& block) {
      slot(block.slot).used_bytes += layout_.block_bytes(block.order);
      slot(block.slot).used_blocks += 1;
    });
    if (fault != nullptr) return fault;
    if (is_committed(chunk)) std::copy(values.begin() + 2, values.end(), subtree(chunk) + 2);
    top()[layout_.chunks + chunk] = values[1];
    TENURE_YIELD_POINT();
  }
  mend_all(top(), layout_.chunks, chunk_order);
  return nullptr;
}

// Below a node that is wholly free or taken the values are what they were.
bool shared_blocks::subtree_is(std::size_t chunk, const std::uint8_t* values, std::size_t node,
                               unsigned order) const noexcept {
  if (node != 1 && subtree(chunk)[node] != values[node]) return false;
  if (order == 1 || values[node] == order || values[node] == 0) return true;
  return subtree_is(chunk, values, 2 * node, order - 1) && subtree_is(chunk, values, 2 * node + 1, order - 1);
}

bool shared_blocks::top_is(const std::uint8_t* values, std::size_t node, unsigned order) const noexcept {
  if (top()[node] != values[node]) return false;
  if (order == chunk_order || values[node] == order || values[node] == 0) return true;
  return top_is(values, 2 * node, order - 1) && top_is(values, 2 * node + 1, order - 1);
}

const char* shared_blocks::compare(std::vector<std::uint8_t>& top_values, std::vector<segment_slot>& sums) const {
  std::array<std::uint8_t, 2 * chunk_leaves> values{};
  std::size_t covered = 0;
  for (std::size_t chunk = 0; chunk < layout_.chunks; ++chunk) {
    const bool is_inside = covered > chunk << chunk_leaves_shift;
    const char* const fault = read_chunk(chunk, covered, values.data(), [&](const shared_block& block) {
      sums[block.slot].used_bytes += layout_.block_bytes(block.order);
      sums[block.slot].used_blocks += 1;
    });
    if (fault != nullptr) return fault;
    top_values[layout_.chunks + chunk] = values[1];
    if (!is_inside && is_committed(chunk) && !subtree_is(chunk, values.data(), 1, chunk_order)) {
      return "the tree of a chunk does not follow from its blocks";
    }
  }
  mend_all(top_values.data(), layout_.chunks, chunk_order);
  return top_is(top_values.data(), 1, layout_.top_order) ? nullptr : "the tree does not follow from the blocks";
}

const char* shared_blocks::find_fault() const {
  std::vector<std::uint8_t> top_values(2 * layout_.chunks);
  std::vector<segment_slot> sums(segment_slots);
  if (const char* const fault = compare(top_values, sums)) return fault;
  for (unsigned i = 0; i < segment_slots; ++i) {
    if (slot(i).used_bytes != sums[i].used_bytes || slot(i).used_blocks != sums[i].used_blocks) {
      return "the figures of a process do not follow from its blocks";
    }
  }
  return nullptr;
}

}  // namespace tenure::resources
