// heap: managed objects with a name, a collector's plan, a limit and figures of their own.
//
//     tenure::gc::heap documents({.name = "documents", .limit_bytes = 256 << 20});
//     auto page = documents.make<paragraph>("once upon a time");
//     documents.collect();
//     std::printf("%zu bytes live\n", documents.statistics().live_bytes);
//
// make<T>() uses heap::standard(), which exists as long as the program does. A member leads to an object of its own
// heap; a local, root or weak to one of any. At most 32 heaps at a time.
//
// Plans:
//   nogc                never collects: what allocation alone costs
//   mark_sweep          stops every thread that stores a managed pointer until the cycle is over; the oracle
//   mark_sweep_lazy     as mark_sweep, and threads run when everything is marked: what was not is freed block by block,
//                       where allocation looks for room, at the latest by the next cycle
//   sticky_concurrent   marks and sweeps while threads run; young cycles look at what is new and at what was stored to
//
//   mark_compact        as mark_sweep, and then moves objects together in as few blocks as they fit into
//   semispace           as mark_sweep, and then copies what is alive to other blocks, breadth first
//   immix               as mark_sweep, and empties sparse blocks when that is worth it, of types that may be moved
//   refcount            counts what leads to each object when a cycle runs, in which threads that store wait: what
//                       nothing leads to goes without a look at what lives, rings when a full cycle traces
//
// A heap of mark_compact, semispace or immix belongs to one thread; of the first two it holds only types that may be
// moved, which the compiler checks (heap_of.hpp).
//
// Thread-safety: all of it, except that nobody may use a heap while it is destroyed. A heap may be destroyed when no
// local or root leads to its objects (otherwise the program ends with a message): weak references become null, and the
// destructors of what is left have run when that of the heap returns.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/duration_histogram.hpp>
#include <tenure/gc/make.hpp>

namespace tenure::gc {

enum class plan : std::uint8_t {
  nogc,
  mark_sweep,
  sticky_concurrent,
  mark_compact,
  semispace,
  immix,
  refcount,
  mark_sweep_lazy
};

// Of such plans heaps are made by heap_of, which checks types.
constexpr bool moves_all(plan of) noexcept { return of == plan::mark_compact || of == plan::semispace; }

struct heap_statistics;
enum class at_share_limit : std::uint8_t { collect, refuse };

struct heap_options {
  std::string_view name = "managed";
  gc::plan plan = gc::plan::sticky_concurrent;
  // A cycle starts when the heap has grown by this much of what the last full cycle left alive. As GOGC.
  unsigned growth_percent = 100;
  // Blocks never exceed it: an allocation that would, collects first and then throws std::bad_alloc. 0: none.
  std::size_t limit_bytes = 0;
  // A first cycle does not start below it.
  std::size_t least_growth_bytes = std::size_t{4} << 20;
  // How long a soft reference keeps its target after its last use, for each MiB that is free (soft.hpp).
  unsigned soft_ms_per_free_mib = 1000;

  // Of one object in so many bytes the place of its allocation is remembered (snapshot.hpp); 0: of none.
  std::size_t sample_bytes = std::size_t{512} << 10;

  // The account of the process's budget (account.hpp) below which the heap's own stands: what its blocks take is
  // charged to both, and when either meets a limit the heap is collected.
  const account* parent = nullptr;
  // Cycles that growth alone asks for are put off while the collector takes more than this of the processors that the
  // process may use, its cgroup's quota among them: the heap grows instead, up to its limit. 0: it may take any.
  unsigned collector_share_percent = 0;
  // Asked when the heap is at its limit and the collector at its share: whether to collect all the same (as without it)
  // or to refuse the allocation, which throws std::bad_alloc. On the thread that allocates, with no lock held.
  std::function<at_share_limit(const heap_statistics&)> at_share = nullptr;

  // To find mistakes; each costs much time.
  unsigned collect_every_allocations = 0;  // a full cycle at each n-th allocation of the process in this heap
  bool verify = false;  // traces again after marking, and compares; of any heap what is stored has to be an object that
                        // is there, or the program ends at the store
  bool poison = false;  // overwrites what is freed
  bool always_evacuate = false;  // a plan that moves objects when it is worth it moves them in each cycle
};

struct heap_statistics {
  std::size_t live_bytes;       // in cells, after the last cycle
  std::size_t live_objects;     // after the last cycle
  std::size_t block_bytes;      // taken from the kernel for cells and large objects
  std::size_t allocated_bytes;  // since the heap was made
  std::uint64_t cycles;
  std::uint64_t full_cycles;
  std::uint64_t marked_objects;  // in all cycles
  std::uint64_t freed_objects;   // in all cycles
  std::uint64_t destroyed;       // destructors that have run
  std::uint64_t moved_objects;   // in all cycles
  std::uint64_t moved_bytes;
  std::size_t pinned_objects;  // that the last cycle could not move, of a plan that moves
  std::uint64_t collector_ns;  // processor time of the cycles, on whatever thread
  std::uint64_t stopped_ns;    // time for which threads would have waited, had they stored a pointer
  std::uint64_t longest_stop_ns;
  std::uint64_t cycle_ns;          // on the clock, of all cycles: beside the program but for stopped_ns
  std::uint64_t handshakes;        // of its cycles; what each thread passed is in thread_statistics()
  std::uint64_t handshake_ns;      // part of cycle_ns
  std::uint64_t promoted_objects;  // marked by young cycles: old since
  std::uint64_t shaded_objects;    // marked because a thread stored them while a cycle marked
  std::uint64_t waits;             // allocations held back because the collector was behind, and for how long
  std::uint64_t waited_ns;
  std::uint64_t put_off;         // allocations that would have begun a cycle, but for collector_share_percent
  std::size_t off_heap_bytes;    // as adjust_off_heap() was told
  std::size_t fragmented_bytes;  // free cells and unused ends of the blocks that the last cycle left
  std::size_t ready_bytes;  // of the process, in no account: free blocks that are resident, for whichever heap needs
                            // one next. Faulted in ahead, or left by cycles. tenure_relieve_pressure() returns them.

  // Of the blocks that the last cycle left, how much lives: 0 to 1.
  double utilisation() const noexcept {
    const std::size_t swept = live_bytes + fragmented_bytes;
    return swept == 0 ? 1 : static_cast<double>(live_bytes) / static_cast<double>(swept);
  }
};

// One cycle, when it had ended.
struct cycle_event {
  std::uint64_t number;  // 1 is the heap's first
  bool is_full;
  std::uint64_t began_ns;  // CLOCK_MONOTONIC
  std::uint64_t cycle_ns;  // on the clock, and of the processor
  std::uint64_t collector_ns;
  std::uint64_t stopped_ns;
  std::uint64_t handshakes;
  std::uint64_t marked_objects;
  std::uint64_t freed_objects;
  std::size_t live_bytes;
  std::size_t block_bytes;
};

// What the collector has taken of a thread that lives, in all heaps.
struct thread_figures {
  long id;                     // the kernel's
  duration_histogram entries;  // processor time of each call off the fast path, since measure_entries(true)
  std::uint64_t handshakes;    // in which it was passed; it did nothing for them
  std::uint64_t waits;         // for a collector that was behind
  std::uint64_t waited_ns;
};

struct object_information {
  const void* address;    // of the object, for an array of its first element
  std::string_view type;  // as the compiler prints it
  std::size_t bytes;      // of its cell
  std::size_t elements;   // 1, or the array's
};

// One link on the way from a root to an object.
struct path_step {
  std::string from;    // "local of thread 1234", "root", or the type of the object that holds the pointer
  std::size_t offset;  // of the member in that object
  const void* to;
};

// The blocks of one size of cells, and how full they are.
struct cell_usage {
  std::size_t cell_bytes;
  std::size_t blocks;
  std::size_t sparse_blocks;  // of which less than half is used
  std::size_t used_bytes;     // by objects, dead ones until a cycle has found them, and by what threads have at hand
  std::size_t free_bytes;     // cannot serve for cells of other sizes while the block has an object
};

class TENURE_API heap {
 public:
  // Throws std::invalid_argument for a plan of which moves_all() holds.
  explicit heap(const heap_options& options);
  // Runs the destructors of all that is left. Ends the program with a message when a pointer still leads to an object,
  // or when the destructor of a managed object, of whatever heap, destroys it.
  ~heap();
  heap(const heap&) = delete;
  heap& operator=(const heap&) = delete;

  static heap& standard() noexcept;

  template <class T, class... Arguments>
  local<T> make(Arguments&&... arguments) {
    return detail::make_in<T>(state_, number_, std::forward<Arguments>(arguments)...);
  }
  template <class T>
  local<array<T>> make_array(std::size_t size) {
    return detail::make_array_in<T>(state_, size);
  }

  // A full cycle, in the calling thread. When it returns, all weak references to what was unreachable when it began are
  // null, its memory is free, and destructors are queued. An object whose destructor is queued is not unreachable until
  // it has run, nor is what it leads to. Does nothing in a nogc heap.
  void collect();
  // A young cycle where the plan has them, a full one otherwise.
  void collect_young();
  // Returns when every destructor queued so far has run. Not from a destructor.
  void wait_for_destructors();
  // Does nothing, or a cycle that is worth its time and, as cycles went lately, fits into the budget: for a program
  // that has nothing to do just now. Whether there was one. A cycle that takes longer all the same is not broken off.
  bool idle(std::chrono::nanoseconds budget);
  // Memory that objects of this heap own elsewhere, malloc's or the kernel's, has grown or shrunk by so much. It counts
  // as allocated, so that many small objects with large things behind them begin cycles, and as live. Any thread.
  void adjust_off_heap(std::ptrdiff_t bytes) noexcept;
  heap_statistics statistics() const noexcept;
  // The last 64 cycles, the oldest first. Waits for one that runs. Throws std::bad_alloc.
  std::vector<cycle_event> last_cycles() const;
  std::string_view name() const noexcept;
  gc::plan plan() const noexcept;
  void set_growth_percent(unsigned percent) noexcept;
  void set_limit_bytes(std::size_t bytes) noexcept;
  void set_collector_share_percent(unsigned percent) noexcept;
  void set_soft_ms_per_free_mib(unsigned ms) noexcept;

  // What is in the heap, dead or alive, at one moment; threads that store pointers wait meanwhile.
  std::vector<object_information> objects() const;
  // Fragmentation: what the heap's blocks hold, by size of cell, smallest first.
  std::vector<cell_usage> usage() const;
  // Gives the kernel back whole pages of free cells inside of blocks that cannot go as a whole. Returns how many bytes;
  // they cost a page fault when they are used again. For after a collect(), when the heap will not grow soon.
  std::size_t return_free_pages();
  // How a root leads to the object at `address`, shortest way first to last; empty when none does.
  std::vector<path_step> path_to(const void* address) const;
  // Stops the threads, traces from the roots and holds everything found against the heap's own records. Ends the
  // program when they disagree.
  void check() const;

  detail::heap_state& state() const noexcept { return *state_; }

 protected:
  heap(const heap_options& options, gc::plan plan);

 private:
  struct standard_tag {};
  explicit heap(standard_tag) noexcept;

  detail::heap_state* state_;
  std::size_t number_;
};

// From now on each call off the fast path takes the thread's clock, some 0.5 us, for thread_statistics().
TENURE_API void measure_entries(bool on) noexcept;
TENURE_API std::vector<thread_figures> thread_statistics();

// The heap's full cycle, for the standard heap.
inline void collect() { heap::standard().collect(); }

}  // namespace tenure::gc
