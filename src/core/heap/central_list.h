// The central list of one size class: batches on their way between threads, and the spans they were cut from.
//
//   batches   a stack of whole lists, as threads gave them up; taking or giving one is a few instructions under the
//   lock
//             however long it is. The first block of a batch holds the link to the next batch and the batch's count.
//   spans     those with free blocks, in eight buckets by how full they are. Blocks are taken from the fullest, so that
//   the
//             emptier ones can empty; a span without a block in use goes back to the page heap. What others pin is
//             thinned: pages of free blocks alone go back to the system (thinning.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/link.h"
#include "core/heap/size_class.h"
#include "core/heap/span_blocks.h"
#include "core/heap/thinning.h"
#include "core/os/mutex.h"
#include "core/pages/span.h"

namespace tenure::core {

// A span has to be the same at this many looks in a row before it is thinned.
inline constexpr unsigned looks_before_thinning = 4;

// Spans with free blocks by occupancy; also used by named heaps. Guarded by the owner's lock.
class span_buckets {
 public:
  static constexpr unsigned bucket_count = 8;

  // The fullest span that has a free block; null if none has.
  span* fullest() const noexcept;
  void add(span* added) noexcept;       // not yet in a list
  void add_last(span* added) noexcept;  // the same, behind the others of its bucket
  void remove(span* removed) noexcept;  // in a list
  // After free_count changed: into the right bucket, or out of the lists when it has no free block left.
  void update(span* changed, std::uint32_t old_free_count) noexcept;
  span* first_of(unsigned bucket) const noexcept { return buckets_[bucket].first(); }
  // The first of a bucket becomes its last.
  void rotate(unsigned bucket) noexcept;

 private:
  static unsigned bucket_of(const span* of) noexcept;
  span_list buckets_[bucket_count];
};

class alignas(64) central_list {
 public:
  // At least one block and at most about `wanted`; an empty chain when the system refuses.
  block_chain fetch(std::size_t size_class, std::uint32_t wanted) noexcept;
  // Takes a whole list over. Beyond the class's limit the blocks go back to their spans.
  void give(std::size_t size_class, block_chain chain) noexcept;
  // Single blocks, back to their spans.
  void give_back(std::size_t size_class, block_chain chain) noexcept;
  // Batches that have lain here unused since the last call go back to their spans. Blocks returned.
  std::uint32_t trim(std::size_t size_class) noexcept;
  // Returns OS pages inside of spans to the system: of spans that have been at rest for looks_before_thinning
  // calls, or of all. Visits each span once at the most. Bytes returned; *waiting gets the bytes that may go at the
  // next call.
  std::size_t thin(std::size_t size_class, bool also_changed, std::size_t* waiting) noexcept;
  // In the child of fork, where the thread that was thinning is gone.
  void recover_after_fork() noexcept;

  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }

  // Under the lock: every block in a batch, for a walk. What is free in spans their bits tell.
  void visit_batches(void (*visit)(void* context, free_block* block), void* context) const noexcept;
  std::uint64_t batch_blocks() const noexcept { return batch_blocks_; }
  void check(std::size_t size_class) const noexcept;

 private:
  block_chain pop_batch() noexcept;
  void push_batch(block_chain chain) noexcept;
  // Looks at some spans; true when one was taken out to be thinned, with its plan. *done: all have been looked at.
  bool look_for_thinning(std::size_t size_class, bool also_changed, thinning_plan* plan, std::size_t* waiting,
                         bool* done) noexcept;
  // Whether the span, the first of its bucket, was taken out.
  bool take_out_to_thin(span* looked_at, std::size_t size_class, bool also_changed, thinning_plan* plan,
                        std::size_t* waiting) noexcept;
  // The span is whole again: into its bucket, or to the page heap when it is empty. Under the lock.
  span* end_thinning(std::size_t size_class) noexcept;
  void forget_span(std::size_t size_class, span* emptied) noexcept;
  static void put_first_of(span* home, block_chain* chain) noexcept;
  // Returns the spans that became empty, chained by next.
  span* return_to_spans(std::size_t size_class, block_chain chain, span* emptied) noexcept;
  void publish(std::size_t size_class) const noexcept;

  os::mutex lock_;
  std::uint32_t low_water_blocks_ = 0;  // least of batch_blocks_ since the last trim
  free_block* batches_ = nullptr;
  std::uint64_t batch_blocks_ = 0;
  span_buckets spans_;
  std::uint64_t span_count_ = 0;
  std::uint64_t span_bytes_ = 0;
  std::uint64_t capacity_blocks_ = 0;   // in all spans
  std::uint64_t span_free_blocks_ = 0;  // of these, in spans
  std::uint64_t absent_blocks_ = 0;     // of these, without memory
  span* thinning_ = nullptr;            // taken out of the buckets while its pages go
  std::uint32_t look_ = 0;              // one for each call of thin()
};

extern central_list central_lists[class_count];

}  // namespace tenure::core
