// A span: a run of pages that serves one size class or one large block, or that is free.
//
// Spans are described out of line, in metadata of their own, so that a program that writes past a block never writes
// over what the heap believes, and a forked child that only reads dirties nothing. The page map leads from any address
// to its span.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::core {

// A page is Tenure's unit inside a chunk; the OS page is a quarter of it or less.
inline constexpr unsigned page_shift = 14;
inline constexpr std::size_t page_size_bytes = std::size_t{1} << page_shift;

// Blocks of one span, at the most: what four pages hold of the smallest.
inline constexpr std::uint32_t most_span_blocks = 4 * page_size_bytes / 16;

enum class span_kind : std::uint8_t {
  unused = 0,       // descriptor in the free list of descriptors
  free_clean = 1,   // free pages that read as zero and cost nothing
  free_dirty = 2,   // free pages that may be resident
  gone = 3,         // address space that the system would not map again: never used
  releasing = 4,    // free pages on their way to the OS: in no list
  small = 5,        // blocks of one size class of the default heap
  large = 6,        // one block of the default heap
  named_small = 7,  // blocks of one size class of a named heap, or sampled blocks
  named_large = 8,  // one block of a named heap
};

struct span {
  span* next = nullptr;  // the list it is in: free runs of one size, central list's bucket, heap's spans
  span* previous = nullptr;

  std::uint32_t first_page = 0;  // index in the window
  std::uint32_t page_count = 0;
  span_kind kind = span_kind::unused;
  std::uint8_t size_class = 0;
  std::uint8_t bucket = 0;         // which of the list's buckets, by occupancy
  bool zeroed = false;             // handed out from clean pages: reads as zero
  bool moved_in = false;           // holds pages that mremap brought: a mapping of its own until mapped afresh
  bool map_released = false;       // free_clean: the page map's pages for its inside went back to the system
  bool sampled = false;            // large block that is a live sample
  std::uint8_t quiet_looks = 0;    // small: looks for something to thin at which free_count was the same as before
  bool thinning = false;           // small: in no list while its pages go: nobody takes blocks from it
  std::uint32_t sample_count = 0;  // live samples among the blocks of a named span

  // small: span_blocks.h
  std::uint32_t block_count = 0;   // how many blocks fit
  std::uint32_t free_count = 0;    // blocks neither with a thread nor with the program
  std::uint32_t carved_count = 0;  // blocks before this one were handed out once, those from it on never
  std::uint32_t absent_count = 0;  // free blocks whose memory went back to the system
  std::uint32_t seen_free = 0;     // free_count at the last look for something to thin,
  std::uint32_t last_look = 0;     // and that look's number
  std::uint32_t first_word = 0;    // no word of free_bits before it has a bit
  static constexpr std::uint32_t blocks_inside = 256;
  std::uint64_t bits_inside[blocks_inside / 64] = {};
  std::uint64_t* free_bits = nullptr;    // a bit for each free block: bits_inside, or a record where there are more
  std::uint64_t* absent_bits = nullptr;  // the same for absent ones; null: there never were any
  std::uintptr_t first_block = 0;

  void* owner = nullptr;             // named heap
  std::size_t requested_bytes = 0;   // large
  std::uint64_t free_since_ns = 0;   // free_dirty: when it became free (weighted mean of merged parts)
  std::uint64_t* scratch = nullptr;  // one walk's marks
};

// A doubly linked list of spans through next and previous. Guarded by its owner's lock.
class span_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  span* first() const noexcept { return first_; }

  void push_front(span* added) noexcept {
    added->previous = nullptr;
    added->next = first_;
    (first_ != nullptr ? first_->previous : last_) = added;
    first_ = added;
  }

  void push_back(span* added) noexcept {
    added->next = nullptr;
    added->previous = last_;
    (last_ != nullptr ? last_->next : first_) = added;
    last_ = added;
  }

  void remove(span* removed) noexcept {
    (removed->previous != nullptr ? removed->previous->next : first_) = removed->next;
    (removed->next != nullptr ? removed->next->previous : last_) = removed->previous;
    removed->next = removed->previous = nullptr;
  }

 private:
  span* first_ = nullptr;
  span* last_ = nullptr;
};

}  // namespace tenure::core
