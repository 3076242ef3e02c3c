// A heap: its blocks by size class and kind, its large objects, its figures.
//
//   lists[kind, class]     blocks of cells       a cursor to where free cells may still be
//   large                  runs of blocks
//
// A thread allocates from a word: up to 64 free cells of a block, taken under the lock of the block's list and handed
// out without one. A cell of a word counts as allocated from the moment the word is taken; one that was not handed out
// goes back when the thread ends.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tenure/gc/heap.hpp>

#include "library/gc/heap_account.h"
#include "library/gc/lock.h"
#include "library/gc/processor_share.h"
#include "library/gc/threads.h"
#include "library/gc/window.h"

namespace tenure::gc {

// What a cycle has come to; blocks that come while it marks are not swept yet, and what is allocated in them is alive.
enum class stage : std::uint8_t { idle, marking, sweeping };

struct block_list {
  lock guard;
  std::vector<std::uint32_t> blocks;
  std::size_t cursor_block = 0;  // index in `blocks`
  std::size_t cursor_word = 0;
};

struct heap_figures {
  std::atomic<std::size_t> live_bytes{0};
  std::atomic<std::size_t> live_objects{0};
  std::atomic<std::size_t> block_bytes{0};
  std::atomic<std::size_t> allocated_bytes{0};
  std::atomic<std::uint64_t> cycles{0};
  std::atomic<std::uint64_t> full_cycles{0};
  std::atomic<std::uint64_t> marked_objects{0};
  std::atomic<std::uint64_t> freed_objects{0};
  std::atomic<std::uint64_t> destroyed{0};
  std::atomic<std::uint64_t> moved_objects{0};
  std::atomic<std::uint64_t> moved_bytes{0};
  std::atomic<std::size_t> pinned_objects{0};
  std::atomic<std::uint64_t> collector_ns{0};
  std::atomic<std::uint64_t> stopped_ns{0};
  std::atomic<std::uint64_t> longest_stop_ns{0};
  std::atomic<std::uint64_t> promoted_objects{0};
  std::atomic<std::uint64_t> shaded_objects{0};
  std::atomic<std::uint64_t> handshakes{0};
  std::atomic<std::uint64_t> handshake_ns{0};
  std::atomic<std::uint64_t> cycle_ns{0};
  std::atomic<std::uint64_t> waits{0};
  std::atomic<std::uint64_t> waited_ns{0};
  std::atomic<std::uint64_t> put_off{0};
  std::atomic<std::size_t> swept_block_bytes{0};  // what the last sweep has left
};

// The last cycles, for who asks. Written with the cycle lock held.
struct cycle_log {
  static constexpr std::size_t capacity = 64;
  cycle_event events[capacity];
  std::uint64_t count = 0;
};

}  // namespace tenure::gc

namespace tenure::gc::detail {

struct heap_state {
  explicit heap_state(const heap_options& given);

  const std::string name;
  const gc::plan plan;
  const bool verify;
  const bool poison;
  const std::size_t sample_bytes;
  const bool always_evacuate;
  const unsigned collect_every;
  std::uint32_t number = 0;

  block_list lists[list_count];
  lock large_guard;
  std::vector<std::uint32_t> large;  // first blocks

  heap_account account;
  cycle_log log;

  // Pacing.
  const std::function<at_share_limit(const heap_statistics&)> at_share;
  std::atomic<unsigned> collector_share_percent;
  lock share_guard;
  processor_share share;  // guarded by it
  std::atomic<double> processors{1};
  std::atomic<std::ptrdiff_t> off_heap_bytes{0};
  std::atomic<unsigned> growth_percent;
  std::atomic<std::size_t> limit_bytes;
  const std::size_t least_growth_bytes;
  std::atomic<std::size_t> allocated_since{0};  // bytes, since the last cycle began
  std::atomic<std::size_t> growth_bytes;        // a cycle is due when as many have been allocated
  std::atomic<std::size_t> live_after_full{0};  // what the last full cycle reached
  std::atomic<std::uint64_t> countdown{0};      // allocations to the next cycle, with collect_every

  std::atomic<unsigned> soft_ms_per_free_mib;
  bool memory_is_short = false;  // soft references keep nothing; with the cycle lock held

  // Of a plan that counts references, with the cycle lock held (counting.h): objects whose count is, or was, 0, and
  // targets that are counted once too often.
  std::vector<char*> uncounted;
  std::vector<char*> owed;
  bool counts_are_lost = false;

  // Of a plan that moves objects: the thread that allocates here; null: none yet, or it has ended.
  std::atomic<const thread_state*> owner{nullptr};

  // The cycle.
  std::atomic<std::uint32_t> cycle{0};  // number of the last one that began
  std::atomic<stage> at{stage::idle};
  std::size_t unused_cells = 0;  // in threads' words when the cycle began; of who runs it
  std::size_t unused_bytes = 0;
  std::size_t keep_left_bytes = 0;  // how much more of what gets free in this cycle stays resident
  std::size_t born_bytes = 0;       // what the last cycle left that was allocated during it
  std::uint32_t young_in_a_row = 0;
  std::atomic<bool> requested{false};  // of the collector's thread
  heap_figures figures;
};

}  // namespace tenure::gc::detail

namespace tenure::gc {

using detail::heap_state;

// So that `count` elements fit, with more room each time it has to grow. Throws std::bad_alloc.
template <class T>
void make_room(std::vector<T>& in, std::size_t count) {
  if (count > in.capacity()) in.reserve(std::max(count, 2 * in.capacity()));
}

// Makes and removes the process's heaps. add_heap gives the state its number, or ends the program with a message when
// there are too many. With the cycle lock held.
void add_heap(heap_state& added) noexcept;
void remove_heap(heap_state& removed) noexcept;
heap_state* heap_by_number(std::uint32_t number) noexcept;  // null: no such heap
template <class Visit>
void for_each_heap(Visit visit) {
  for (std::uint32_t i = 0; i < detail::most_heaps; ++i) {
    if (heap_state* heap = heap_by_number(i)) visit(*heap);
  }
}

// Gives the calling thread's words of `heap` a new one of the list. Throws std::bad_alloc. Within an operation.
enum class refilled : std::uint8_t { done, done_and_sampled, needs_block };
refilled refill(thread_state& self, heap_state& heap, std::size_t list);
// A block of free cells for the list, with its lock held; window::npos: there is no memory for one.
std::size_t add_block(heap_state& heap, std::size_t list) noexcept;
// The heap's account is charged as much, for blocks to come. Throws std::bad_alloc. Outside of operations and locks.
void hold_bytes(heap_state& heap, std::size_t bytes);
// A large object's cell, zeroed; null when the account has no room. Throws std::bad_alloc. Within an operation.
char* make_large(heap_state& heap, object_kind kind, std::size_t bytes);

// Cells of the thread's words that were not handed out are free again.
void retire_words(thread_state& of) noexcept;
void free_words(thread_state& of) noexcept;
// Those cells are alive in the cycle that has just begun.
void blacken_words(const thread_state& of, heap_state& heap) noexcept;

// Each block of the heap with its lock held, also of those that come meanwhile: visit(block number).
template <class Visit>
void for_each_block(heap_state& heap, Visit visit) {
  for (block_list& list : heap.lists) {
    for (std::size_t i = 0;; ++i) {
      const holding guard(list.guard);
      if (i >= list.blocks.size()) break;
      visit(std::size_t{list.blocks[i]});
    }
  }
  for (std::size_t i = 0;; ++i) {
    const holding guard(heap.large_guard);
    if (i >= heap.large.size()) break;
    visit(std::size_t{heap.large[i]});
  }
}

heap_statistics statistics_of(const heap_state& heap) noexcept;

// A cell that a destructor was run in.
void free_cell(const cell_place& at) noexcept;

void check_heap(heap_state& heap) noexcept;

}  // namespace tenure::gc
