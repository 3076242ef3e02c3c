// First-class heaps: a name, spans of their own, exact counts.
//
// A heap's blocks lie in spans that belong to it alone, whose pages have class 0 in the page map: free() finds them on
// its slow path, so nobody else pays for them, and destroying a heap returns its spans without looking at a block.
// Counts are exact because every call takes the heap's lock; they stand in the heap's account too, whose hard limit
// bounds its spans. The sampled blocks of the default heap live in such a heap
// too (sampled.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/budget/ledger.h"
#include "core/heap/central_list.h"
#include "core/os/mutex.h"
#include "core/pages/span.h"
#include "core/telemetry/unwind.h"
#include "wire/event.h"

namespace tenure::core {

struct named_heap_statistics {
  std::uint64_t live_bytes;  // usable bytes of the blocks in use
  std::uint64_t live_blocks;
  std::uint64_t span_bytes;       // pages it holds
  std::uint64_t allocated_bytes;  // since it was created
  std::uint64_t allocations;
  std::uint64_t peak_live_bytes;
};

class named_heap {
 public:
  static constexpr std::size_t name_capacity_bytes = 64;

  // The name is cut at name_capacity_bytes - 1. Spans are charged to the account, and what is live is published in it;
  // null: to none.
  named_heap(const char* name, budget::account* account) noexcept;

  // `alignment` is a power of two. Null when the system refuses. Thread-safe.
  // A recorded stack begins in the caller, or in the one that is given.
  void* allocate(std::size_t bytes, std::size_t alignment) noexcept;
  void* allocate(std::size_t bytes, std::size_t alignment, const telemetry::caller_place& caller) noexcept;
  // A block of the class whose page-map entry leads to the slow path, for a sample; in spans as small as can be.
  void* allocate_class(std::size_t size_class) noexcept;
  // `block` is the start of a block of this heap in `home`; the caller has checked that.
  void free(span* home, void* block) noexcept;
  // Every block at once. Nobody may use the heap meanwhile.
  void free_all() noexcept { free_all(telemetry::own_caller()); }
  void free_all(const telemetry::caller_place& caller) noexcept;

  // Whether the block, at a block's start in `home`, is in use; for messages.
  bool is_free(const span* home, const void* block) noexcept;

  named_heap_statistics statistics() noexcept;
  const char* name() const noexcept { return name_; }
  budget::account* account() const noexcept { return account_; }
  named_heap* next() const noexcept { return next_; }
  void check() noexcept;

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }
  const named_heap_statistics& counts_held() const noexcept { return counts_; }  // with the lock held

  // The list of all heaps; guarded by lock_named_heaps().
  static named_heap* first() noexcept;
  static void add_to_list(named_heap* added) noexcept;
  static void remove_from_list(named_heap* removed) noexcept;

 private:
  // What an attempt under the lock came to; what the budget wants is done when the lock has been let go.
  struct attempt {
    void* block = nullptr;
    std::uint64_t missing_bytes = 0;  // the account's hard limit refused so many
    bool is_over_soft_limit = false;
  };
  attempt try_small(std::size_t size_class, std::uint32_t pages) noexcept;
  attempt try_large(std::size_t bytes, std::size_t alignment) noexcept;
  // Tries, and tries again as long as shrinkers give memory back.
  void* allocate_block(std::size_t size_class, std::size_t bytes, std::size_t alignment) noexcept;
  bool charge_span(std::uint64_t bytes, attempt* outcome) noexcept;
  void release_charge(std::uint64_t bytes) noexcept;
  void count_allocation(std::uint64_t bytes) noexcept;
  void publish_use() noexcept;
  void add_span(span* added) noexcept;

  os::mutex lock_;
  span_buckets free_[class_count];
  span_list full_[class_count];  // spans without a free block
  span_list large_;
  named_heap_statistics counts_{};
  budget::account* account_;
  wire::account_use* use_;
  named_heap* next_ = nullptr;
  char name_[name_capacity_bytes];
};

// Creates and destroys in metadata that is reused. Null when the system refuses.
named_heap* create_named_heap(const char* name) noexcept;
void destroy_named_heap(named_heap* heap) noexcept;
void lock_named_heaps() noexcept;
void unlock_named_heaps() noexcept;

}  // namespace tenure::core
