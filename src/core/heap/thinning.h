// Thinning: OS pages inside of a span that hold nothing but free blocks go back to the system.
//
// A span goes back whole when its last block is freed. Until then one block in use can pin up to 64 free ones, and a
// program that has shrunk keeps much of what it once had. Thinning looks at the pages in between:
//
//   blocks    | used | free | free | free | used | free | free | not carved ...
//   OS pages  |......|......|#1####|......|......|......|#2####|#3####|
//                        ^ only #1 and #2 are covered by free blocks alone and have been touched
//
// A free block is a link in a list, in its own first word. So blocks that touch a page that goes are taken out of the
// list; a bit for each in the span's record says that they are absent: free, in no list, content gone. They are handed
// out again when the listed ones are used up. What is not carved yet is absent without a bit.
//
// Spans of more blocks than the record has bits (the smallest sizes) are left alone: survivors at random leave no page
// of them empty.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/heap/link.h"
#include "core/pages/span.h"

namespace tenure::core {

// A bit for each block of a span. In metadata, recycled.
struct absent_blocks {
  static constexpr std::uint32_t capacity = 512;
  std::uint64_t words[capacity / 64];

  bool test(std::uint32_t index) const noexcept { return (words[index / 64] >> (index % 64) & 1) != 0; }
  void set(std::uint32_t index) noexcept { words[index / 64] |= std::uint64_t{1} << (index % 64); }
  void clear(std::uint32_t index) noexcept { words[index / 64] &= ~(std::uint64_t{1} << (index % 64)); }
};

// What thinning would do to a span: runs of OS pages, as offsets from the span's start.
struct thinning_plan {
  static constexpr std::uint32_t most_runs = 64;
  struct run {
    std::uint32_t offset_bytes;
    std::uint32_t bytes;
  };
  run runs[most_runs];
  std::uint32_t run_count = 0;
  std::uint32_t bytes = 0;
  absent_blocks leaving{};  // listed blocks that touch a page of them
};

// The place of the block among the span's, which it must be one of.
std::uint32_t block_index(const span* of, const void* block) noexcept;

// Whether the block is free with its content gone, or was never handed out.
bool is_absent(const span* of, const void* block) noexcept;

// Under the lock of the list that holds the span. Nothing is changed.
void plan_thinning(const span* of, thinning_plan* plan) noexcept;
// Takes the blocks out of the span's list, under the same lock. False, and nothing is changed, when there is no memory
// for the bits. The caller keeps everybody from the span until the pages have gone.
bool take_out_absent(span* from, const thinning_plan& plan) noexcept;

// Up to `wanted` absent blocks before `chain`; fewer when there are no more.
void bring_back_absent(span* from, std::uint32_t wanted, block_chain* chain) noexcept;
// The span is empty: nothing needs to be known about its blocks any more.
void forget_absent(span* of) noexcept;

}  // namespace tenure::core
