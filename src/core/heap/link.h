// Free blocks in thread caches and in batches are chained through their first word; of those in spans bits tell
// (span_blocks.h), and their first word is a link to nothing.
//
// A link is the next block's address with a tag in its top byte, by exclusive or. No address of a program has that
// byte, so the tag tells a free block from one in use by one byte compare: free() looks at it and, where it is there,
// goes out of line to find out for certain whether the block is in one of the lists. malloc() clears the word.
//
// A link that the program overwrites breaks the chain. Whoever puts blocks back into spans checks that each lies in a
// span of its class, and ends the program with a message; the fast path of malloc() checks nothing and follows. What
// does not decode to mapped memory then ends in a SIGSEGV inside of malloc().
#pragma once

#include <cstdint>

namespace tenure::core {

inline constexpr unsigned link_tag = 0xb5;
inline constexpr std::uintptr_t link_key_value = static_cast<std::uintptr_t>(link_tag) << 56;

// The same value where the compiler cannot see it: an exclusive or with memory decodes and compares with null in one
// instruction, which it would not choose for a constant.
extern const std::uintptr_t link_key __attribute__((visibility("hidden")));

struct free_block {
  std::uintptr_t link;   // encoded, to the next block of the list
  std::uintptr_t batch;  // in the first block of a batch: the next batch (48 bits) and this one's count (16 bits)
};

inline std::uintptr_t encode_link(const void* block) noexcept {
  return reinterpret_cast<std::uintptr_t>(block) ^ link_key_value;
}
inline free_block* decode_link(std::uintptr_t link) noexcept {
  return reinterpret_cast<free_block*>(link ^ link_key_value);
}
inline constexpr std::uintptr_t empty_link = link_key_value;

inline free_block* next_of(const free_block* block) noexcept { return decode_link(block->link); }

// A list of blocks on its way from one place to another.
struct block_chain {
  free_block* first = nullptr;
  std::uint32_t count = 0;
};

}  // namespace tenure::core
