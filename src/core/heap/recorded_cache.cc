#include "core/heap/recorded_cache.h"

#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/central_list.h"
#include "core/heap/sampled.h"

namespace tenure::core {

void switch_recording(hot_cache& cache, thread_record& record) noexcept {
  empty_cache(cache, record);
  record.recorded = !record.recorded;
}

void* allocate_recorded(thread_record& record, std::size_t size_class) noexcept {
  // Whoever frees it is to come by here.
  if (telemetry::is_tallied())
    if (void* const apart = sampled_heap().allocate_class(size_class)) return apart;
  class_state& state = record.classes[size_class];
  const std::uint64_t size = class_bytes[size_class];
  if (state.spare.count == 0) {
    // Twice as many as the last time, while the thread may hold so much.
    std::uint32_t wanted = 1u << state.visits;
    if (record.recorded_bytes + wanted * size > static_cast<std::uint64_t>(value(option::thread_cache))) {
      wanted = 1;
    } else if (wanted * 2 <= largest_batch(size_class)) {
      ++state.visits;
    }
    state.spare = central_lists[size_class].fetch(size_class, wanted);
    if (state.spare.count == 0) return nullptr;
    record.recorded_bytes += state.spare.count * size;
  }
  free_block* block = state.spare.first;
  state.spare = {next_of(block), state.spare.count - 1};
  record.recorded_bytes -= size;
  block->link = 0;
  return block;
}

void free_recorded(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  const std::uint64_t size = class_bytes[size_class];
  const auto limit_bytes = static_cast<std::uint64_t>(value(option::thread_cache));
  cache.room[size_class] = 0;  // each free has counted it down
  const bool is_over = record.recorded_bytes + size > limit_bytes;
  if (state.spare.count >= largest_batch(size_class) || (is_over && state.spare.count != 0)) {
    record.recorded_bytes -= state.spare.count * size;
    const block_chain full = state.spare;
    state.spare = {};
    central_lists[size_class].give(size_class, full);
  }
  if (unlikely(record.recorded_bytes + size > limit_bytes)) {
    block->link = empty_link;
    return central_lists[size_class].give_back(size_class, {block, 1});
  }
  block->link = encode_link(state.spare.first);
  state.spare = {block, state.spare.count + 1};
  record.recorded_bytes += size;
}

}  // namespace tenure::core
