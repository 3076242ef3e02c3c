#include "core/heap/recorded_cache.h"

#include "core/base/check.h"
#include "core/base/options.h"
#include "core/heap/central_list.h"

namespace tenure::core {

void switch_recording(hot_cache& cache, thread_record& record) noexcept {
  empty_cache(cache, record);
  record.recorded = !record.recorded;
}

void* allocate_recorded(thread_record& record, std::size_t size_class) noexcept {
  class_state& state = record.classes[size_class];
  if (state.aside == nullptr) {
    TENURE_DCHECK(state.aside_count == 0 && !state.sample_due);
    // Twice as many as the last time, while the thread may hold so much.
    const std::uint32_t size = class_bytes[size_class];
    std::uint32_t wanted = state.target == 0 ? 1 : state.target;
    if (record.recorded_bytes + std::uint64_t{wanted} * size >
        static_cast<std::uint64_t>(value(option::thread_cache))) {
      wanted = 1;
    } else if (wanted * 2 <= largest_batch(size_class)) {
      state.target = wanted * 2;
    }
    const block_chain fetched = central_lists[size_class].fetch(size_class, wanted);
    if (fetched.count == 0) return nullptr;
    state.aside = fetched.first;
    state.aside_count = fetched.count;
    record.recorded_bytes += std::uint64_t{fetched.count} * size;
  }
  free_block* block = state.aside;
  state.aside = next_of(block);
  --state.aside_count;
  record.recorded_bytes -= class_bytes[size_class];
  block->link = 0;
  return block;
}

void free_recorded(hot_cache& cache, thread_record& record, std::size_t size_class, free_block* block) noexcept {
  class_state& state = record.classes[size_class];
  const std::uint32_t size = class_bytes[size_class];
  cache.room[size_class] = 0;  // each free has counted it down
  const bool is_over = record.recorded_bytes + size > static_cast<std::uint64_t>(value(option::thread_cache));
  if (state.aside_count >= largest_batch(size_class) || (is_over && state.aside_count != 0)) {
    record.recorded_bytes -= std::uint64_t{state.aside_count} * size;
    central_lists[size_class].give(size_class, {state.aside, state.aside_count});
    state.aside = nullptr;
    state.aside_count = 0;
  }
  if (unlikely(record.recorded_bytes + size > static_cast<std::uint64_t>(value(option::thread_cache)))) {
    block->link = empty_link;
    return central_lists[size_class].give_back(size_class, {block, 1});
  }
  block->link = encode_link(state.aside);
  state.aside = block;
  ++state.aside_count;
  record.recorded_bytes += size;
}

}  // namespace tenure::core
