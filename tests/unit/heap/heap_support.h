// What the tests of the heap room share: figures that must add up, blocks with content of their own.
#pragma once

#include <gtest/gtest.h>
#include <cstring>
#include <memory>
#include <vector>

#include "core/heap/heap.h"
#include "core/heap/walk.h"

namespace tenure::core::test {

inline void* allocate(std::size_t bytes) {
  void* block = core::allocate(bytes, wire::allocation_entry::malloc);
  EXPECT_NE(block, nullptr);
  return block;
}

inline heap_figures figures() {
  heap_figures now;
  read_figures(&now);
  return now;
}

// The equation that include/tenure/tenure.h promises.
inline void expect_to_add_up(const heap_figures& now) {
  EXPECT_EQ(now.committed_bytes, now.live_bytes + now.cached_bytes + now.batch_bytes + now.fragmented_bytes +
                                     now.free_dirty_bytes + now.named_span_bytes);
  EXPECT_EQ(now.chunk_bytes, now.committed_bytes + now.free_clean_bytes);
  EXPECT_EQ(now.unread_lists, 0u);
}

// A block with content: told apart from every other by its seed.
struct filled_block {
  unsigned char* start;
  std::size_t bytes;
  unsigned char seed;

  static filled_block make(std::size_t bytes, unsigned char seed) {
    filled_block made{static_cast<unsigned char*>(test::allocate(bytes)), bytes, seed};
    std::memset(made.start, seed, bytes);
    return made;
  }
  bool is_intact() const {
    for (std::size_t i = 0; i < bytes; i += i < 64 || i + 64 >= bytes ? 1 : 61) {
      if (start[i] != seed) return false;
    }
    return true;
  }
};

inline void free_all(std::vector<void*>& blocks) {
  for (void* block : blocks) deallocate(block);
  blocks.clear();
}

}  // namespace tenure::core::test
