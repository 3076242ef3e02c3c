// Reachability: which blocks the roots lead to, and how.
//
//   roots ─► start of a block ─────────────► reachable ─► what lies in it ─► ...
//         └► inside of a block ─► held so? ──┘ │
//                                     └ no ──► possible ─► ...
//   the rest ─► those that no other of the rest leads to, then one of each circle ─► definite ─► what they hold:
//   indirect
//
// Blocks are looked through in the order in which they were reached, after all roots: so the first pointer that is
// found to one is the last step of a shortest way to it, and is remembered when asked for.
//
// Every aligned word is taken for a pointer. A pointer into the inside is how a program holds a block when it is that
// of a reference-counted string, of new[] with a count before the elements, of an object by its second base class, or
// one with its length before it; these are told by what stands at the block's start.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/scan/block_table.h"
#include "core/scan/memory_map.h"
#include "wire/leak_scan.h"

namespace tenure::core {

class reachability {
 public:
  reachability(block_table& blocks, const memory_map& map, bool remembers_places = false) noexcept
      : blocks_(blocks), map_(map), remembers_places_(remembers_places) {}

  // False when there is no memory.
  bool prepare() noexcept;
  // What lies in [begin, end) are roots. Pages that were never touched are left out.
  void add_roots(std::uintptr_t begin, std::uintptr_t end) noexcept;
  // What lies there is a root that holds its block by a pointer into its inside.
  void add_holder(std::uintptr_t place) noexcept;
  // After all roots: the state of each block is final, and told by the table.
  void conclude() noexcept;

  // What would go with a definite block. After conclude().
  static const wire::block_sum& held_by(const found_block& block) noexcept { return block.link().held; }
  // The start of the definite block with which an indirect one would go.
  std::uintptr_t leader_of(const found_block& block) const noexcept;
  // Where the pointer to a reachable or possible block lies, when they are remembered. After conclude(), as below.
  static std::uintptr_t place_of(const found_block& block) noexcept { return block.link().place; }
  // The reachable ones, then the possible ones, each behind those by which it is reached.
  template <class Visit>
  void for_each_reached(Visit&& visit) const noexcept {
    for (std::size_t i = 0; i < reached_count_; ++i) visit(blocks_.find(reached_[i]));
  }
  const block_table& blocks() const noexcept { return blocks_; }
  std::uint64_t root_bytes() const noexcept { return root_bytes_; }
  std::uint64_t heuristic_blocks() const noexcept { return heuristic_blocks_; }

 private:
  template <class Visit>
  void visit_words(std::uintptr_t begin, std::uintptr_t end, Visit&& visit) noexcept;
  // The words of a block on pages that can be read: the program may have said of some that they cannot.
  template <class Visit>
  void visit_block(const found_block& block, Visit&& visit) noexcept;
  // The mapping that the address lies in, or the first one above it; null when there is none.
  const mapping* mapping_at(std::uintptr_t address) noexcept;
  bool is_readable(std::uintptr_t begin, std::uintptr_t end) noexcept;
  void reach(std::uintptr_t pointer, std::uintptr_t place) noexcept;
  void note_place(const found_block& block, std::uintptr_t place) const noexcept {
    if (remembers_places_) block.link().place = place;
  }
  // Looks through those that were reached and have not been looked through: visit(word, where it lies).
  template <class Visit>
  void visit_reached(Visit&& visit) noexcept;
  void reach_possibly() noexcept;
  void note_pointed_at() noexcept;
  void lead_from(const found_block& first) noexcept;
  void append(const found_block& block) noexcept { reached_[reached_count_++] = block.begin; }

  bool is_held_inside(const found_block& block, std::uintptr_t pointer) noexcept;
  bool is_table_of_functions(std::uintptr_t address) const noexcept;

  block_table& blocks_;
  const memory_map& map_;
  const bool remembers_places_;
  touched_pages touched_;
  const mapping* last_mapping_ = nullptr;  // that was asked for: most blocks lie in the same few
  // By their starts: blocks that were reached, and behind them, once all are, a stack of those that were not and are to
  // be looked through. Each block is in one of the two once at the most.
  std::uintptr_t* reached_ = nullptr;
  std::size_t reached_count_ = 0;
  std::size_t looked_through_ = 0;  // of the reached ones
  std::uint64_t root_bytes_ = 0;
  std::uint64_t heuristic_blocks_ = 0;
};

}  // namespace tenure::core
