// Thinning: OS pages inside of a span that hold nothing but free blocks go back to the system.
//
// A span goes back whole when its last block is freed. Until then one block in use can pin up to 64 free ones, and a
// program that has shrunk keeps much of what it once had. Thinning looks at the pages in between:
//
//   blocks    | used | free | free | free | used | free | free | not carved ...
//   OS pages  |......|......|#1####|......|......|......|#2####|#3####|
//                        ^ only #1 and #2 are covered by free blocks alone and have been touched
//
// Which blocks are free stands outside of them (span_blocks.h), so all that changes is that those that touch a page
// that goes are known to be absent: they are handed out again when the others are used up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pages/span.h"

namespace tenure::core {

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
};

// Under the lock of whoever owns the span. Nothing is changed.
void plan_thinning(const span* of, thinning_plan* plan) noexcept;
// Makes the blocks that touch the plan's pages absent, under the same lock. False, and nothing is changed, when there
// is no memory for the bits. The caller keeps everybody from the span until the pages have gone.
bool mark_absent(span* of, const thinning_plan& plan) noexcept;

}  // namespace tenure::core
