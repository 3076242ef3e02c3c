// The blocks of a span, and which of them are free.
//
//   blocks       | used | free | free | used | absent | absent | not carved ...
//   free_bits    |  0   |  1   |  1   |  0   |   1    |   1    |  1  1  1 ...
//   absent_bits  |  0   |  0   |  0   |  0   |   1    |   1    |  0  0  0 ...
//                                                               ^ carved_count
//
// A bit for each block, outside of the block: taking blocks reads none of them, only writes the links of the chain that
// it makes. The processor waits for a load of a block that was freed long ago, and one such load after the other where
// a list leads through the blocks; stores it completes behind what follows. Blocks are handed out from the lowest
// address on, those that are not absent first.
//
// Guarded by the lock of whoever owns the span.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/check.h"
#include "core/heap/link.h"
#include "core/heap/size_class.h"
#include "core/pages/span.h"

namespace tenure::core {

// A new span of the class, all of it free. Null when the system refuses.
span* make_block_span(std::size_t size_class, std::uint32_t pages, span_kind kind, void* owner) noexcept;

inline std::uint32_t bit_words(const span* of) noexcept { return (of->block_count + 63) / 64; }

// The place of the block, which must be one of the span's, and back.
inline std::uint32_t index_of(const span* of, const void* block) noexcept {
  return static_cast<std::uint32_t>(
      blocks_before(of->size_class, reinterpret_cast<std::uintptr_t>(block) - of->first_block));
}
inline free_block* block_at(const span* of, std::uint32_t index) noexcept {
  TENURE_DCHECK(of->size_class != 0);
  return reinterpret_cast<free_block*>(of->first_block + std::size_t{index} * class_bytes[of->size_class]);
}

inline bool is_free(const span* of, std::uint32_t index) noexcept {
  TENURE_DCHECK(index < of->block_count);
  return (of->free_bits[index / 64] >> (index % 64) & 1) != 0;
}
inline bool is_absent(const span* of, std::uint32_t index) noexcept {
  TENURE_DCHECK(index < of->block_count);
  return of->absent_bits != nullptr && (of->absent_bits[index / 64] >> (index % 64) & 1) != 0;
}

// Whether the block was never handed out. Without the lock: it never was, or may be just now.
inline bool is_uncarved(const span* of, const void* block) noexcept {
  return index_of(of, block) >= __atomic_load_n(&of->carved_count, __ATOMIC_RELAXED);
}

// Whether the block may have memory, unless it is absent: it was handed out once, or the span was cut from pages that
// may have been resident then.
inline bool may_be_resident(const span* of, std::uint32_t index) noexcept {
  TENURE_DCHECK(index < of->block_count);
  return index < of->carved_count || !of->zeroed;
}

// Free blocks that may have memory.
inline std::uint32_t present_count(const span* of) noexcept {
  TENURE_DCHECK(of->carved_count <= of->block_count);
  return of->free_count - of->absent_count - (of->zeroed ? of->block_count - of->carved_count : 0);
}

// Takes up to `wanted` free blocks and puts them before `chain`, in the order of their addresses.
void take_blocks(span* from, std::uint32_t wanted, block_chain* chain) noexcept;
// Puts one block back. Ends the program when it is free already.
void put_block(span* to, free_block* block) noexcept;

// Counts the bits and compares.
void check_blocks(const span* of) noexcept;

}  // namespace tenure::core
