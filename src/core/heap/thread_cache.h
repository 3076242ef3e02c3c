// The thread cache: where almost every malloc and free ends.
//
//   hot_cache (initial-exec TLS)              thread_record (metadata, one a thread)
//   front[class]    popped by malloc            lock      entered by every slow path of the owner, held by whoever
//   list[class]     pushed by free                        inspects the cache (owner_lock.h)
//   inverse[class]  to tell a block's start     classes[] how long the lists may be, how far the next sample is
//   room[class]     pushes left                 clock     distance to the next sample among large blocks
//   table[size]     class of a small size
//
// malloc counts nothing. How many blocks it hands out before its next slow path is bounded when the lists are put
// there, and known when that slow path comes. So each class draws how many of its allocations there are until the
// sampled one and never grants as many: that allocation meets the slow path, and the fast path has no counter for it.
// What lies behind the sample waits in `spare`. There are two kinds of class:
//
//   small (up to 1 KiB), two lists. malloc pops `front`, free pushes `list`; when front is empty, list takes its place;
//   when list is full it leaves as a whole batch, whose length room tells (central_list.h).
//     allocated since grant = length of front then
//   medium, one list, last in first out: malloc pops it too, so that the block that is handed out is the one whose
//   memory is still in the processor's cache. Free counts down `room` in any case, and from that follows what malloc
//   did:
//     granted = length + room at grant;   allocated since = granted - length - room
//   For that the list must be counted in the slow path, which is cheap only where lists are short.
//
// A reader that holds `lock` can walk the lists of a running thread: the owner can only pop and push until it needs its
// slow path, and then waits. A walk is good when neither heads nor room have changed meanwhile (walk.h).
//
// The cache of a thread that ends is parked: lists, their lengths and what is known of samples stay in the record, and
// the next thread that begins goes on with them. Few are, none of them large or for long, so that threads which follow
// each other need no central list and nothing is stranded where none follows.
//
// The hot part has no pointer to follow: it is the thread's own memory, constant-initialised to "every list empty, no
// room", so that the first malloc or free of a thread finds the slow path by itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/check.h"
#include "core/heap/link.h"
#include "core/heap/owner_lock.h"
#include "core/heap/size_class.h"
#include "core/os/mutex.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {

struct thread_record;

enum class cache_state : std::uint8_t { fresh, attached, exited };

// Classes with two lists are those up to this one: the sizes of the table.
inline constexpr std::size_t last_paired_class = class_of(largest_tabled_bytes);

struct hot_cache {
  std::uintptr_t front[last_paired_class + 1];
  std::uintptr_t list[class_count];
  std::uint64_t inverse[class_count];
  std::int32_t room[class_count];
  class_table table;
  cache_state state = cache_state::fresh;
  bool busy = false;  // this thread may hold the heap's locks: a signal handler must not enter now
  bool pages_due =
      false;  // the section under way found pages to return or a region to build; looked at when it has ended
  free_block* deferred = nullptr;  // blocks freed by such a handler; changed in one instruction, as handlers nest
  thread_record* record = nullptr;

  constexpr hot_cache() noexcept : front{}, list{}, inverse{}, room{}, table(make_class_table()) {
    for (std::uintptr_t& head : front) head = empty_link;
    for (std::size_t i = 0; i < class_count; ++i) {
      list[i] = empty_link;
      inverse[i] = class_inverse(i);
    }
  }
};

// The code of hot_access.h reads one byte of the table, and room as an index reads it: 4 bytes a class.
static_assert(sizeof(hot_cache::room) == 4 * class_count && class_count - 1 <= 0xff);
static_assert(offsetof(hot_cache, front) == 0);  // the first of what a thread touches

extern constinit thread_local hot_cache hot __attribute__((tls_model("initial-exec")));

// What waited for the end of a busy section: blocks that a signal handler freed, pages that are due.
void catch_up(hot_cache& cache) noexcept;

// From entering a part of the heap that takes locks to leaving it. A signal handler that allocates meanwhile gets
// emergency blocks (emergency.h), and what it frees waits for the end. Sections may lie in one another; the outermost
// counts.
class busy_section {
 public:
  explicit busy_section(hot_cache& cache) noexcept : cache_(cache), is_outermost_(!cache.busy) {
    cache_.busy = true;
    asm volatile("" ::: "memory");
  }
  ~busy_section() {
    if (!is_outermost_) return;
    asm volatile("" ::: "memory");
    cache_.busy = false;
    if (unlikely(cache_.deferred != nullptr || cache_.pages_due)) catch_up(cache_);
  }
  busy_section(const busy_section&) = delete;
  busy_section& operator=(const busy_section&) = delete;

 private:
  hot_cache& cache_;
  bool is_outermost_;
};

// Frees a block that is in no list when the section under way has ended. Its link is that of a free block, so that
// freeing it once more is noticed.
inline void defer_free(hot_cache& cache, free_block* block) noexcept {
  TENURE_DCHECK(cache.busy && block != cache.deferred);
  free_block* following = __atomic_load_n(&cache.deferred, __ATOMIC_RELAXED);
  do {
    block->link = encode_link(following);
  } while (!__atomic_compare_exchange_n(&cache.deferred, &following, block, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

struct class_state {
  std::uint16_t capacity = 0;        // most blocks in all lists of the class together
  std::uint16_t granted = 0;         // most allocations from the last slow path to the next
  std::uint16_t opened = 0;          // two lists: room when `list` was last empty, so that room tells its length
  std::uint8_t visits = 0;           // slow paths since the capacity was last grown
  bool fetched = false;              // from the central list, since the list was last full
  bool used = false;                 // since the last time neglected caches were looked for
  std::uint16_t interval_epoch = 0;  // thread_record's when until_sample was drawn
  std::int32_t seen_room = 0;        // room and heads as a walk has read them (walk.h)
  std::uintptr_t seen_list = 0;
  std::uintptr_t seen_front = 0;
  std::uint64_t until_sample = 0;    // allocations from grant on up to and with the sampled one; 0: not drawn yet
  std::uint64_t interval_bytes = 0;  // mean with which it was drawn; 0: sampling is off, only look again
  block_chain spare;                 // what lies behind the sample
};
static_assert(sizeof(class_state) == 64);  // each thread has one a class

struct thread_record {
  owner_lock lock;
  std::uint32_t thread_id = 0;
  hot_cache* cache = nullptr;     // null: the thread has ended, the record waits for another
  thread_record* next = nullptr;  // all records ever made
  thread_record* next_free = nullptr;
  telemetry::sample_clock clock;
  std::uint64_t last_sample_ns = 0;
  std::int64_t sample_credit_ns = 0;
  unsigned sample_doublings = 0;       // of the interval, while samples come too fast (option sample_spacing)
  std::uint64_t interval_bytes = 0;    // the mean as it was last looked up, without doublings,
  std::uint16_t interval_epoch = 0;    // and how often it was found changed
  std::uint64_t held_limit_bytes = 0;  // sum over classes of what capacity allows
  std::uint32_t slow_paths = 0;
  hot_cache* parked = nullptr;       // where the lists of a thread that has ended wait for the next one
  bool is_parked = false;            // they do; `cache` is where they are
  std::uint64_t parked_ns = 0;       // since when
  bool recorded = false;             // every malloc and free of the thread takes its slow path (recorded_cache.h)
  std::uint64_t recorded_bytes = 0;  // that it holds then
  class_state classes[class_count];
};

// Slow paths of the fast path in heap.h.

// A block of the class, up to last_paired_class, when the list that malloc pops is empty: of those that the thread has
// freed, where there are enough and nothing else is to be done. Null, and nothing has changed, otherwise: then
// refill().
void* exchange(std::size_t size_class) noexcept;

// A block of the class when the list that malloc pops is empty. Null when the system refuses.
void* refill(std::size_t size_class, std::size_t requested_bytes, wire::allocation_entry entry) noexcept;

// A block of the class, known to be one and in use, when it cannot be pushed at once; `room` may already be counted
// down below zero for this call.
void free_small_slow(free_block* block, std::size_t size_class) noexcept;

// Owner's clock, counted down by a block that did not come from a list. True: this block is a sample, and
// *interval_bytes says with which mean.
bool meets_sample(std::size_t bytes, std::uint64_t* interval_bytes) noexcept;

// Whether the calling thread's every malloc and free takes its slow path is as it has to be now: not only from the next
// slow path on.
void follow_recording_now() noexcept;

// The record of the calling thread; null where it has none (ended, or no memory for one).
thread_record* own_record() noexcept;

// All records, for walks and fork; guarded by lock_threads().
thread_record* first_record() noexcept;
void lock_threads() noexcept;
void unlock_threads() noexcept;
// In the child of fork: the other threads' caches are given up to the central lists.
void adopt_caches_after_fork() noexcept;

// Blocks of the calling thread's cache go to the central lists; at thread exit, and for tenure_purge().
void flush_own_cache() noexcept;
// Caches that have waited for a thread for so long go to the central lists. Thread-safe; not inside of a busy section.
void give_up_parked_caches(std::uint64_t age_ns) noexcept;
// The same of any cache that the caller may change; lengths begin anew.
void empty_cache(hot_cache& cache, thread_record& record) noexcept;

}  // namespace tenure::core
