#include "instruments/collect/heap_counters.h"

#include <algorithm>

namespace tenure::collect {

std::uint64_t bytes_in_use(const wire::heap_statistics& counters) {
  std::uint64_t left = counters.chunk_bytes;
  const auto take = [&](std::uint64_t bytes) { left -= std::min(left, bytes); };
  take(counters.free_clean_bytes);
  take(counters.free_dirty_bytes);
  for (const wire::size_class_statistics& one : counters.classes) {
    if (one.block_bytes == 0) continue;
    for (const std::uint64_t blocks : {one.central_free_blocks, one.transfer_blocks, one.absent_blocks})
      if (blocks <= left / one.block_bytes) take(blocks * one.block_bytes);
  }
  return left;
}

}  // namespace tenure::collect
