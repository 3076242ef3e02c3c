// Block table: what is known of each block of the heap while a copy of the process is looked through.
//
//   address ─► page map ─► span ─► block_run ─► a byte for each block: free, unreached, or how it was reached
//                                           ├► of those that were not: what they lead to, or which leads to them
//                                           └► of those that were, when asked for: where the pointer to them lies
//
// Built under all the heap's locks, in a process in which nobody else runs; it uses the spans' scratch pointers. Its
// memory is that of the tables alone: two bytes for each block, and sixteen for each that nothing leads to or, when
// asked for, something does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/page_map.h"
#include "wire/leak_scan.h"

namespace tenure::core {

enum class block_state : std::uint8_t {
  unreached = 0,
  free = 1,
  reachable = 2,
  possible = 3,
  definite = 4,
  indirect = 5,
};

// Not kept in the block: the program may have made that unwritable.
union block_link {
  wire::block_sum held;   // of a definite one: what would go with it
  std::uintptr_t leader;  // of an indirect one: the start of the block that it was found to go with
  std::uintptr_t place;   // of one that is reachable or possible, when asked for: where the pointer to it lies
};

// What is noted of a block besides its state.
inline constexpr std::uint8_t is_pointed_at = 1;  // an unreached block leads to it
inline constexpr std::uint8_t is_told = 2;        // held, and told with the pointer that holds it

// The blocks of one span.
struct block_run {
  std::uintptr_t first = 0;
  std::uint64_t block_bytes = 0;
  std::uint32_t count = 0;
  std::uint8_t* states = nullptr;  // block_state, one a block
  std::uint8_t* notes = nullptr;   // one a block
  block_link* links = nullptr;     // zeroes, and no memory until they are written
};

struct found_block {
  block_run* run = nullptr;  // null: the address is no block's
  std::uint32_t index = 0;
  std::uintptr_t begin = 0;

  block_state state() const noexcept { return static_cast<block_state>(run->states[index]); }
  block_link& link() const noexcept { return run->links[index]; }
  bool is_noted(std::uint8_t note) const noexcept { return (run->notes[index] & note) != 0; }
  void note(std::uint8_t note) const noexcept { run->notes[index] |= note; }
  void set(block_state state) const noexcept { run->states[index] = static_cast<std::uint8_t>(state); }
};

class block_table {
 public:
  // False when there is no memory for it.
  bool build() noexcept;
  std::uint64_t unread_lists() const noexcept { return unread_lists_; }
  std::uint64_t live_blocks() const noexcept { return live_blocks_; }

  // The block, free or live, that covers the address, which lies in the window.
  found_block find(std::uintptr_t address) const noexcept {
    const std::uintptr_t page = (address - window.begin) >> page_shift;
    const span* home = window.span_map[page];
    if (home == nullptr || home->kind < span_kind::small || page - home->first_page >= home->page_count) return {};
    auto* run = reinterpret_cast<block_run*>(home->scratch);
    const std::uintptr_t offset = address - run->first;
    if (run->count == 1) return offset < run->block_bytes ? found_block{run, 0, run->first} : found_block{};
    // A span of several blocks is small.
    const auto index = static_cast<std::uint32_t>(offset) / static_cast<std::uint32_t>(run->block_bytes);
    if (address < run->first || index >= run->count) return {};
    return {run, index, run->first + index * run->block_bytes};
  }

  // In order of their addresses.
  template <class Visit>
  void for_each_live(Visit&& visit) const noexcept {
    for (std::size_t i = 0; i < run_count_; ++i) {
      block_run& run = runs_[i];
      for (std::uint32_t index = 0; index < run.count; ++index) {
        const found_block block{&run, index, run.first + index * run.block_bytes};
        if (block.state() != block_state::free) visit(block);
      }
    }
  }

 private:
  static void measure(void* table, span* of) noexcept;
  static void add(void* table, span* of) noexcept;

  block_run* runs_ = nullptr;
  std::size_t run_count_ = 0;
  std::size_t block_count_ = 0;
  std::uint8_t* next_state_ = nullptr;
  block_link* next_link_ = nullptr;
  std::uint64_t unread_lists_ = 0;
  std::uint64_t live_blocks_ = 0;
};

}  // namespace tenure::core
