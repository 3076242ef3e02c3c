// The range of addresses in which all managed objects of the process lie, and what is known of each block in it.
//
//   window    [ block 0 | block 1 | ... ]          64 KiB each, reserved at first use, made usable 2 MiB at a time
//   headers   one block_header for a block         what lies there
//   bits      one block_bits for a block           allocated, marked, born marked, shaded: a bit for each cell
//   cards     one byte for 512 bytes               set by the write barrier
//   sides     one address for 64 cells             what is known beside them: weak references, watches
//
// All tables are reserved together with the window and cost memory only where they are touched. They lie apart from the
// objects, so that marking dirties no object's page, and an overflowing object no table. From any address in an object
// to its cell it is one subtraction, one load and one multiplication.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <tenure/gc/detail/runtime.hpp>

#include "core/base/check.h"
#include "library/gc/lock.h"

namespace tenure::gc {

using detail::block_bytes;
using detail::block_shift;
using detail::object_kind;

enum class block_state : std::uint8_t { free, cells, large, large_rest };

// Where a block is in no chain, and where a chain ends.
inline constexpr std::uint32_t not_chained = ~std::uint32_t{0};
inline constexpr std::uint32_t chain_end = not_chained - 1;

struct alignas(64) block_header {
  std::uint32_t reciprocal = 0;  // ceil(2^32 / cell_bytes); 0 in a large object, whose only cell is number 0
  std::uint32_t cell_bytes = 0;
  std::uint16_t cell_count = 0;
  std::uint16_t live_cells = 0;   // that the last sweep of it has left
  std::uint32_t blocks_back = 0;  // large_rest: how far back the object begins
  std::uint32_t run_blocks = 0;   // large: how many blocks it takes
  std::uint16_t heap_number = 0;
  object_kind kind = object_kind::traced;
  std::atomic<block_state> state{block_state::free};
  bool zeroed = false;                  // nothing was written to it before it was taken
  bool resident = false;                // free, and the kernel has given memory for it
  std::atomic<bool> has_shaded{false};  // its bitmap says what is shaded and in no thread's ring
  std::atomic<bool> has_sides{false};   // something is known beside one of its objects
  bool is_left = false;                 // objects were moved out of it, and their cells say where to
  bool is_entered = false;              // it came while objects are moved, for them
  std::uint16_t list = 0;               // of its heap's lists
  std::uint32_t swept_cycle = 0;        // the heap's cycle that swept it last, or during which it came
  std::uint32_t runs_held = 0;          // by threads
  std::uint32_t order = 0;              // its index in its list's blocks; while they are put in order, its rank
  std::uint32_t next_young = 0;         // the chains of its list (block_list.h)
  std::uint64_t large_bytes = 0;
  std::uint32_t next_open = 0;
  std::uint32_t previous_open = 0;
};
static_assert(sizeof(block_header) == 64);

// A word of the four bitmaps stands for 64 cells. `marked` has one writer, the collector, and needs no locked
// instruction; `allocated`, and in `born_marked` what threads allocate while a cycle marks, are written under the lock
// of the block's list; what they have shaded in this cycle is in `shaded`, by locked instructions. The four words lie
// together, half a cache line: who marks a cell looks at all of them but the last.
struct alignas(32) mark_words {
  std::atomic<std::uint64_t> marked;
  std::atomic<std::uint64_t> born_marked;
  std::atomic<std::uint64_t> allocated;
  std::atomic<std::uint64_t>
      shaded;  // where a plan moves objects, of which none is ever shaded: pinned, and where counts are kept: held

  std::uint64_t alive() const noexcept {
    return marked.load(std::memory_order_relaxed) | born_marked.load(std::memory_order_relaxed);
  }
  // Exactly these are marked. What says so already is not written to.
  void set(std::uint64_t cells) noexcept {
    const auto write = [](std::atomic<std::uint64_t>& of, std::uint64_t value) {
      if (of.load(std::memory_order_relaxed) != value) of.store(value, std::memory_order_relaxed);
    };
    write(marked, cells);
    write(born_marked, 0);
    write(shaded, 0);
  }
};
inline constexpr std::size_t words_per_block = block_bytes / 16 / 64;
struct block_bits {
  mark_words marks[words_per_block];
  // Free cells in which something was left behind. Under the lock of the block's list.
  std::uint64_t to_clear[words_per_block];
};

// From its first on, those that what lies there takes.
inline std::size_t run_of(const block_header& block) noexcept {
  return block.state.load(std::memory_order_relaxed) == block_state::large ? block.run_blocks : 1;
}

struct side_word;  // what is known beside 64 cells: sides.h

// Where an address leads.
struct cell_place {
  block_header* header;
  mark_words* marks;
  std::uint64_t bit;
  char* cell;
  std::uint32_t index;
  std::size_t block;

  // The cycle has come to it, or it survived one as old.
  bool is_marked() const noexcept { return (marks->marked.load(std::memory_order_relaxed) & bit) != 0; }
  // The same, or it was born since the cycle began.
  bool is_alive() const noexcept { return (marks->alive() & bit) != 0; }
  void mark() const noexcept {
    marks->marked.store(marks->marked.load(std::memory_order_relaxed) | bit, std::memory_order_relaxed);
  }
};

class window {
 public:
  // The process's window. Ends the program with a message when no range of addresses is to be had.
  static window& get() noexcept {
    window* made = instance_.load(std::memory_order_acquire);
    return made != nullptr ? *made : get_new();
  }
  // The same; false when none is to be had.
  static bool prepare() noexcept;

  bool holds(const void* address) const noexcept { return reinterpret_cast<std::uintptr_t>(address) - first_ < bytes_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t block_of(const void* address) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(address) - first_) >> block_shift;
  }
  char* address_of(std::size_t block) const noexcept {
    return reinterpret_cast<char*>(first_ + (block << block_shift));
  }
  block_header& header(std::size_t block) const noexcept { return headers_[block]; }
  block_bits& bits(std::size_t block) const noexcept { return bits_[block]; }
  std::atomic<std::uint8_t>* cards(std::size_t block) const noexcept {
    return cards_ + (block << (block_shift - detail::card_shift));
  }
  // One for each word of the bitmaps; null: nothing.
  std::atomic<side_word*>* sides(std::size_t block) const noexcept { return sides_ + block * words_per_block; }

  // `address` lies in the window, in or at the start of an object.
  cell_place place(const void* address) const noexcept {
    std::size_t block = block_of(address);
    block_header* header = &headers_[block];
    std::uint32_t index = 0;
    if (header->reciprocal != 0) [[likely]] {
      const std::uint64_t offset = reinterpret_cast<std::uintptr_t>(address) & (block_bytes - 1);
      index = static_cast<std::uint32_t>(offset * header->reciprocal >> 32);
    } else if (header->state.load(std::memory_order_relaxed) == block_state::large_rest) {
      block -= header->blocks_back;
      header = &headers_[block];
    }
    return {header,
            &bits_[block].marks[index / 64],
            std::uint64_t{1} << (index % 64),
            address_of(block) + std::size_t{index} * header->cell_bytes,
            index,
            block};
  }
  // Who sees the bit sees what was cleared before it was set.
  bool is_allocated(const cell_place& at) const noexcept {
    const block_state state = at.header->state.load(std::memory_order_acquire);
    return (state == block_state::cells || state == block_state::large) && at.index < at.header->cell_count &&
           (at.marks->allocated.load(std::memory_order_acquire) & at.bit) != 0;
  }

  // Each block of that heap in which objects lie: visit(block, its header).
  template <class Visit>
  void for_each_block(std::uint32_t heap_number, Visit visit) const {
    const std::size_t end = end_block();
    for (std::size_t block = 0; block < end; ++block) {
      const block_state state = headers_[block].state.load(std::memory_order_acquire);
      if (state != block_state::cells && state != block_state::large) continue;
      if (headers_[block].heap_number == heap_number) visit(block, headers_[block]);
    }
  }
  // Each object of a block that is alive in the cycle: visit(its place).
  template <class Visit>
  void for_each_alive(std::size_t block, Visit visit) const {
    const block_header& in = headers_[block];
    for (std::uint32_t cell = 0; cell < in.cell_count; ++cell) {
      const cell_place at = place(address_of(block) + std::size_t{cell} * in.cell_bytes);
      if (at.is_alive() && is_allocated(at)) visit(at);
    }
  }
  // Each bit of a word of the bitmaps alone: visit(bit, address of its cell).
  template <class Visit>
  void for_each_cell(std::size_t block, std::size_t word, std::uint64_t bits, Visit visit) const {
    for (; bits != 0; bits &= bits - 1) {
      const auto index = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      visit(bits & (~bits + 1), address_of(block) + index * headers_[block].cell_bytes);
    }
  }

  // `count` blocks in a row, usable, marked as taken; `npos` when the system refuses or the window is full. The header
  // of the first says whether the run is `zeroed`.
  static constexpr std::size_t npos = ~std::size_t{0};
  std::size_t take_run(std::size_t count) noexcept;
  // `keep`: the memory stays resident, for the next to take it.
  void give_run(std::size_t block, std::size_t count, bool keep) noexcept;

  // Free blocks that are resident: whoever takes one next does not fault it in.
  std::size_t ready_bytes() noexcept;
  // Gives the kernel back what there is of them beyond so much, the last first. Bytes that went. With the cycle lock
  // held: a fork finds none of them on their way.
  std::size_t return_ready(std::size_t most_bytes) noexcept;
  // How much the prefaulter has ready for whoever allocates.
  std::size_t wanted_ready_bytes() noexcept;

  // Makes one more chunk of free blocks resident, as a huge page, when fewer are than is wanted; false: that is not so,
  // or the kernel cannot do it. By the prefaulter alone.
  bool prepare_chunk() noexcept;
  // In the child of a fork, where nobody does: that chunk is free.
  void forget_preparation() noexcept { end_preparation(false); }

  // One past the last block that is taken.
  std::size_t end_block() const noexcept { return end_block_.load(std::memory_order_acquire); }
  // From now on the barrier marks cards.
  void use_cards() noexcept;
  lock& guard() noexcept { return lock_; }
  void check() noexcept;

  // Tests: the n-th run from now on is refused, and all after it; 0: none.
  static void refuse_runs_after(std::uint64_t count) noexcept { runs_until_refusal_.store(count); }

 private:
  window() = default;
  static window& get_new() noexcept;
  bool reserve() noexcept;
  bool reserve_bytes(std::size_t bytes) noexcept;
  bool make_usable(std::size_t end) noexcept;
  std::size_t wanted_resident_blocks() const noexcept;
  std::size_t chunk_to_prepare() noexcept;
  void end_preparation(bool is_ready) noexcept;
  void populate_tables(std::size_t first) noexcept;
  bool is_cold(std::size_t chunk) const noexcept;
  void chill(std::size_t chunk, std::size_t end) noexcept;
  std::size_t find_run(std::size_t count) const noexcept;
  void lower_end() noexcept;
  std::size_t take_ready(std::size_t most, std::size_t& before) noexcept;
  bool is_taken(std::size_t block) const noexcept { return (taken_[block / 64] >> (block % 64) & 1) != 0; }

  static std::atomic<window*> instance_;
  static std::atomic<std::uint64_t> runs_until_refusal_;

  std::uintptr_t first_ = 0;
  std::size_t bytes_ = 0;
  block_header* headers_ = nullptr;
  block_bits* bits_ = nullptr;
  std::atomic<std::uint8_t>* cards_ = nullptr;
  std::atomic<side_word*>* sides_ = nullptr;
  std::uint64_t* taken_ = nullptr;  // a bit a block
  lock lock_;                       // guards what follows, and taken_
  std::size_t hint_ = 0;            // no block below it is free
  std::size_t usable_ = 0;          // blocks that may be touched
  std::size_t resident_free_ = 0;   // free blocks that are resident
  std::uint64_t* cold_ = nullptr;   // a bit a chunk: all of it is usable, free, and not resident
  std::size_t preparing_ = npos;    // the chunk that is just faulted in
  bool prefaults_ = true;           // false: the kernel cannot be asked to
  std::atomic<std::size_t> end_block_{0};
};

}  // namespace tenure::gc
