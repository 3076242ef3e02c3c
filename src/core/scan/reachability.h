// Reachability: which blocks the roots lead to, and how.
//
//   roots ─► start of a block ─────────────► reachable ─► what lies in it ─► ...
//         └► inside of a block ─► held so? ──┘ │
//                                     └ no ──► possible ─► ...
//   the rest ─► those that no other of the rest leads to, then one of each circle ─► definite ─► what they hold:
//   indirect
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
  reachability(block_table& blocks, const memory_map& map) noexcept : blocks_(blocks), map_(map) {}

  // False when there is no memory.
  bool prepare() noexcept;
  // What lies in [begin, end) are roots. Pages that were never touched are left out.
  void add_roots(std::uintptr_t begin, std::uintptr_t end) noexcept;
  // A root that holds its block by a pointer into its inside.
  void add_holder(std::uintptr_t pointer) noexcept;
  // After all roots: the state of each block is final, and told by the table.
  void conclude() noexcept;

  // What would go with a definite block. After conclude().
  static const wire::block_sum& held_by(const found_block& block) noexcept { return block.lost().held; }
  // The start of the definite block with which an indirect one would go.
  std::uintptr_t leader_of(const found_block& block) const noexcept;
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
  void reach(std::uintptr_t pointer) noexcept;
  void reach_all() noexcept;
  void reach_possibly() noexcept;
  void note_pointed_at() noexcept;
  void lead_from(const found_block& first) noexcept;
  void push(const found_block& block) noexcept { stack_[depth_++] = block.begin; }
  found_block pop() noexcept;

  bool is_held_inside(const found_block& block, std::uintptr_t pointer) noexcept;
  bool is_table_of_functions(std::uintptr_t address) const noexcept;

  block_table& blocks_;
  const memory_map& map_;
  touched_pages touched_;
  const mapping* last_mapping_ = nullptr;  // that was asked for: most blocks lie in the same few
  std::uintptr_t* stack_ = nullptr;        // blocks that are still to be looked through, by their starts
  std::size_t depth_ = 0;
  std::uint64_t root_bytes_ = 0;
  std::uint64_t heuristic_blocks_ = 0;
};

}  // namespace tenure::core
