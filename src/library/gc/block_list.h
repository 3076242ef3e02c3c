// The blocks of one size class and kind in a heap, and two chains through their headers.
//
//   blocks   all of them
//   open     those in which cells are free, in the order in which they were swept; the first is being used up
//   young    those with objects that no cycle has reached, or with cells that threads hold: what a young cycle sweeps
//
// A heap of old objects costs a young cycle nothing here, and an allocation looks at no block that is full. A block
// of which next to nothing is free is not opened: taking one cell from it costs as much as taking sixty-four.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "library/gc/lock.h"
#include "library/gc/window.h"

namespace tenure::gc {

struct block_list {
  lock guard;  // of all that follows, and of the chains in the headers
  std::vector<std::uint32_t> blocks;
  std::uint32_t first_open = chain_end;
  std::uint32_t last_open = chain_end;
  std::size_t cursor_word = 0;                        // of the first open block: no cell before it is free
  std::atomic<std::uint32_t> first_young{chain_end};  // read without the lock, too: a chain grows at its beginning
  std::size_t sweep_next = ~std::size_t{0};           // index of the first block that a sweep has yet to come to

  // Its header is a new one's. There is room in `blocks`.
  void add(std::size_t block) noexcept;
  void remove(std::size_t block) noexcept;
  void put_at(std::size_t index, std::uint32_t block) noexcept;

  void open(std::size_t block) noexcept;
  void close(std::size_t block) noexcept;
  // By how many of its cells are free now; looked through from its start.
  void open_if_worth_it(std::size_t block, std::size_t free_cells) noexcept;

  // True when it was not in the chain.
  bool make_young(std::size_t block) noexcept;
  // The chain is the caller's: each block in it counts as young until pop_young has been told of it.
  std::uint32_t take_young() noexcept;
  static std::uint32_t pop_young(std::uint32_t& chain) noexcept;

  // Each block that is in it now, by the cycle, which alone takes it: visit(block, its header).
  template <class Visit>
  void for_each_young(Visit visit) const {
    window& all = window::get();
    for (std::uint32_t at = first_young.load(std::memory_order_acquire); at != chain_end;) {
      const std::uint32_t next = all.header(at).next_young;
      visit(std::size_t{at}, all.header(at));
      at = next;
    }
  }

  void check() const noexcept;
};

std::size_t free_cells(std::size_t block) noexcept;
// Bits of the word that stand for cells.
std::uint64_t valid_cells(const block_header& header, std::size_t word) noexcept;

}  // namespace tenure::gc
