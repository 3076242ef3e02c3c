// A heap: its blocks by size class and kind, its large objects, its figures.
//
//   lists[kind, class]     blocks of cells (block_list.h)
//   large                  runs of blocks
//
// How cells and blocks are taken is in allocation.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tenure/gc/heap.hpp>

#include "library/gc/block_list.h"
#include "library/gc/heap_account.h"
#include "library/gc/lock.h"
#include "library/gc/processor_share.h"
#include "library/gc/threads.h"
#include "library/gc/window.h"

namespace tenure::gc {

// What a cycle has come to; blocks that come while it marks are not swept yet, and what is allocated in them is alive.
enum class stage : std::uint8_t { idle, marking, sweeping_young, sweeping_all };

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
  std::atomic<std::size_t> stop_bytes;          // beyond as many since a cycle began threads wait for its end
  std::atomic<std::size_t> headroom_bytes;      // what the heap may grow by before all of it has to be looked at
  // With the cycle lock held.
  std::size_t allocated_since_full = 0;  // as of the last cycle's beginning
  std::size_t allocated_before_cycle = 0;
  std::uint64_t process_ns_then = 0;            // the process's processor time
  std::size_t nursery_bytes;                    // the growth after which a young cycle is worth it
  bool young_are_vain = false;                  // most of what they look at survives: the next cycle is a full one
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
  bool only_young_die = false;   // of the cycle that runs, which looks for its dead nowhere else
  std::size_t unused_cells = 0;  // in threads' runs when the cycle began; of who runs it
  std::size_t unused_bytes = 0;
  std::size_t keep_left_bytes = 0;  // how much more of what gets free in this cycle stays resident
  std::size_t born_bytes = 0;       // what the last cycle left that was allocated during it
  std::size_t old_bytes = 0;        // what it left that it or one before has reached
  std::size_t promoted_bytes = 0;   // by how much that has become more
  struct {
    std::size_t bytes = 0;
    std::size_t objects = 0;
  } in_cells;                          // what the sweeps of all blocks have left in them, each when it was swept last
  std::atomic<bool> requested{false};  // of the collector's thread
  std::atomic<std::uint32_t> progress{0};  // changes when a cycle begins and when one that was requested is over
  void tell_progress() noexcept;
  void wait_for_progress(std::uint32_t seen) noexcept;
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

// Each block in which the cycle that runs may find an object dead, and perhaps others: visit(block, its header).
template <class Visit>
void for_each_block_with_dead(heap_state& heap, Visit visit) {
  window& all = window::get();
  if (!heap.only_young_die) return all.for_each_block(heap.number, visit);
  for (const block_list& list : heap.lists) list.for_each_young(visit);
  for (std::size_t i = 0;; ++i) {
    std::size_t block;
    {
      const holding guard(heap.large_guard);
      if (i >= heap.large.size()) break;
      block = heap.large[i];
    }
    visit(block, all.header(block));
  }
}

heap_statistics statistics_of(const heap_state& heap) noexcept;

// A cell that a destructor was run in.
void free_cell(const cell_place& at) noexcept;

void check_heap(heap_state& heap) noexcept;

}  // namespace tenure::gc
