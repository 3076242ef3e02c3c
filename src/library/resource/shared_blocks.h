// The blocks of a segment: a buddy whose truth is one word for each block in use.
//
//   word    15 14 | 13 ........ 6 | 5 ...... 0          at the block's first smallest block; 0: none begins here
//                   owner's slot    order
//   tree    for each node the largest free block below it; in two parts, so that a chunk's is together and is there
//           only when the chunk is
//
// A block is in use from the store of its word on and free from the store of 0 on. All else (the tree, what each slot
// has) follows from the words: rebuild() makes it anew when somebody died at it. So there is no moment at which a
// process can be killed that leaves a block half taken, or lost without an owner.
//
// Called with the segment's lock. A peer may have written anything anywhere: no index leads out of the mapping, and
// what cannot be is told as damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "library/resource/shared_layout.h"

namespace tenure::resources {

struct shared_block {
  std::size_t offset;  // in the data
  unsigned order;
  unsigned slot;
};

class shared_blocks {
 public:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t damaged = none - 1;

  // Makes the pages of a chunk be there, with its tables. False when the system has none.
  using committer = bool (*)(void* context, std::size_t chunk);

  shared_blocks() = default;
  shared_blocks(std::byte* segment, const segment_layout& layout, committer commit, void* context) noexcept
      : base_(segment), layout_(layout), commit_(commit), context_(context) {}

  // Where the block begins in the data; `none`, `damaged`.
  std::size_t take(unsigned order, unsigned slot) noexcept;
  // The block in use that begins there; order 0: none does.
  shared_block at(std::size_t offset) const noexcept;
  void give(const shared_block& block) noexcept;
  void hand_over(const shared_block& block, unsigned slot) noexcept;

  // In order of offset. `visit(const shared_block&)`.
  template <class Visit>
  void for_each(Visit visit) const;

  // Everything that follows from the words. Null, or what is wrong with the words.
  const char* rebuild() noexcept;
  // Of the words, and of what should follow from them. Throws std::bad_alloc.
  const char* find_fault() const;

  bool is_committed(std::size_t chunk) const noexcept { return committed()[chunk] != 0; }
  // Chunks in which no block is used are given to `drop(chunk)`; how many there were.
  template <class Drop>
  std::size_t drop_free_chunks(Drop drop) noexcept;

  segment_header& header() const noexcept { return *reinterpret_cast<segment_header*>(base_); }
  segment_slot& slot(unsigned number) const noexcept { return header().slot[number % segment_slots]; }
  const segment_layout& layout() const noexcept { return layout_; }

 private:
  std::uint8_t* committed() const noexcept { return at_offset<std::uint8_t>(layout_.committed_offset); }
  std::uint8_t* top() const noexcept { return at_offset<std::uint8_t>(layout_.top_offset); }
  std::uint16_t* words(std::size_t chunk) const noexcept {
    return at_offset<std::uint16_t>(layout_.tables_offset + chunk * segment_layout::table_bytes);
  }
  std::uint8_t* subtree(std::size_t chunk) const noexcept {
    return reinterpret_cast<std::uint8_t*>(words(chunk) + chunk_leaves);
  }
  template <class T>
  T* at_offset(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(base_ + offset);
  }
  std::uint16_t& word_of(std::size_t leaf) const noexcept {
    return words(leaf >> chunk_leaves_shift)[leaf & (chunk_leaves - 1)];
  }
  // Of a node of that order, by its place among those of its order.
  std::uint8_t& value(std::size_t place, unsigned order) const noexcept;
  bool commit_all(std::size_t place, unsigned order) noexcept;
  bool split(std::size_t place, unsigned order) noexcept;
  void mend_above(std::size_t place, unsigned order) noexcept;
  // Reads a chunk's words: the values of its part of the tree, and the blocks. `covered` is the leaf up to which
  // earlier blocks reach.
  template <class Visit>
  const char* read_chunk(std::size_t chunk, std::size_t& covered, std::uint8_t* values, Visit visit) const noexcept;
  bool subtree_is(std::size_t chunk, const std::uint8_t* values, std::size_t node, unsigned order) const noexcept;
  bool top_is(const std::uint8_t* values, std::size_t node, unsigned order) const noexcept;
  static void mend_all(std::uint8_t* values, std::size_t leaves, unsigned leaf_order) noexcept;
  const char* compare(std::vector<std::uint8_t>& top_values, std::vector<segment_slot>& sums) const;

  std::byte* base_ = nullptr;
  segment_layout layout_;
  committer commit_ = nullptr;
  void* context_ = nullptr;
};

inline shared_block decode(std::size_t offset, std::uint16_t word) noexcept {
  return {offset, word & 63u, static_cast<unsigned>(word >> 6) & (segment_slots - 1)};
}

template <class Visit>
void shared_blocks::for_each(Visit visit) const {
  for (std::size_t chunk = 0; chunk < layout_.chunks; ++chunk) {
    if (!is_committed(chunk)) continue;
    const std::uint16_t* const of = words(chunk);
    for (std::size_t i = 0; i < chunk_leaves; ++i) {
      if (of[i] == 0) continue;
      const shared_block block = at(((chunk << chunk_leaves_shift) + i) << layout_.smallest_shift);
      if (block.order != 0) visit(block);
    }
  }
}

template <class Drop>
std::size_t shared_blocks::drop_free_chunks(Drop drop) noexcept {
  std::size_t dropped = 0, covered = 0;
  for (std::size_t chunk = 0; chunk < layout_.chunks; ++chunk) {
    if (!is_committed(chunk)) continue;
    std::size_t used = 0;
    const std::uint16_t* const of = words(chunk);
    for (std::size_t i = 0; i < chunk_leaves; ++i) {
      if (of[i] == 0) continue;
      ++used;
      const shared_block block = at(((chunk << chunk_leaves_shift) + i) << layout_.smallest_shift);
      const std::size_t end = (block.offset >> layout_.smallest_shift) + (std::size_t{1} << block.order >> 1);
      covered = end > covered ? end : covered;
    }
    if (used != 0 || covered > chunk << chunk_leaves_shift) continue;
    committed()[chunk] = 0;
    drop(chunk);
    ++dropped;
  }
  return dropped;
}

}  // namespace tenure::resources
