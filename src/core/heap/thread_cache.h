// The thread cache: where almost every malloc and free ends.
//
//   hot_cache (initial-exec TLS)              thread_record (metadata, one a thread)
//   alloc[class]    list, popped by malloc      lock      entered by every slow path of the owner, held by whoever
//   freed[class]    list, pushed by free                  inspects the cache (owner_lock.h)
//   inverse[class]  to tell a block's start     classes[] how long the lists may be, what is set aside
//   room[class]     pushes left until full      clock     distance to the next sample
//   table[size]     class of a small size
//
// Two lists a class, and between two slow paths each moves in one direction only: malloc pops `alloc`, free pushes
// `freed`.
//   - malloc counts nothing: how many blocks it will hand out is known when the list is put there. A sampling point is
//     therefore met exactly where it falls, by cutting the list short at that block: the fast path has no counter.
//   - A reader that holds `lock` can walk the lists of a running thread: the owner can only pop and push until it needs
//     its slow path, and then waits. A walk is good when the heads have not moved meanwhile (walk.h).
// When `alloc` is empty, `freed` takes its place; when `freed` is full it leaves as a whole batch (central_list.h).
//
// The hot part has no pointer to follow: it is the thread's own memory, constant-initialised to "every list empty, no
// room", so that the first malloc or free of a thread finds the slow path by itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/link.h"
#include "core/heap/owner_lock.h"
#include "core/heap/size_class.h"
#include "core/os/mutex.h"
#include "core/telemetry/telemetry.h"

namespace tenure::core {

struct thread_record;

enum class cache_state : std::uint8_t { fresh, attached, exited };

struct hot_cache {
  std::uintptr_t alloc[class_count];
  std::uintptr_t freed[class_count];
  std::uint64_t inverse[class_count];
  std::int32_t room[class_count];
  class_table table;
  cache_state state = cache_state::fresh;
  bool busy = false;               // this thread is in a slow path: a signal handler that allocates now must not enter
  bool pages_due = false;          // the slow path under way found pages to return; looked at when it has ended
  free_block* deferred = nullptr;  // blocks freed by such a handler
  thread_record* record = nullptr;

  constexpr hot_cache() noexcept : alloc{}, freed{}, inverse{}, room{}, table(make_class_table()) {
    for (std::size_t i = 0; i < class_count; ++i) {
      alloc[i] = freed[i] = empty_link;
      inverse[i] = class_inverse(i);
    }
  }
};

extern constinit thread_local hot_cache hot __attribute__((tls_model("initial-exec")));

struct class_state {
  std::uint32_t capacity = 0;   // of freed; room counts down from it
  std::uint32_t target = 0;     // blocks to have in alloc after a refill
  std::uint32_t extra = 0;      // blocks beyond target that alloc was given
  std::uint32_t visits = 0;     // slow paths since a length was last grown
  free_block* aside = nullptr;  // what was cut off behind a sampling point
  std::uint32_t aside_count = 0;
  std::uint64_t sample_interval_bytes = 0;  // with which the point was drawn
  std::uintptr_t seen_alloc = 0;            // the heads as a walk has read them (walk.h)
  std::uintptr_t seen_freed = 0;
  bool sample_due = false;  // the next allocation of this class is the sampled one
  bool used = false;        // since the last time neglected caches were looked for
};

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
  std::uint64_t held_limit_bytes = 0;  // sum over classes of what capacity and target allow
  std::uint32_t slow_paths = 0;
  bool recorded = false;             // every malloc and free of the thread takes its slow path (recorded_cache.h)
  std::uint64_t recorded_bytes = 0;  // that it holds then
  class_state classes[class_count];
};

// Slow paths of the fast path in heap.h.

// A block of the class when `alloc` is empty. Null when the system refuses.
void* refill(std::size_t size_class, std::size_t requested_bytes, wire::allocation_entry entry) noexcept;

// A block of the class, known to be one and in use, when it cannot be pushed at once; `room` may already be counted
// down below zero for this call.
void free_small_slow(free_block* block, std::size_t size_class) noexcept;

// Owner's clock, counted down by a block that did not come from a list. True: this block is a sample, and
// *interval_bytes says with which mean.
bool meets_sample(std::size_t bytes, std::uint64_t* interval_bytes) noexcept;

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
// The same of any cache that the caller may change; lengths begin anew.
void empty_cache(hot_cache& cache, thread_record& record) noexcept;

}  // namespace tenure::core
