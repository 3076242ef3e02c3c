#include "core/heap/thinning.h"

#include <new>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/size_class.h"
#include "core/os/mutex.h"
#include "core/os/virtual_memory.h"
#include "core/pages/metadata.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

os::mutex lock;
absent_blocks* free_records = nullptr;  // chained through the first word

absent_blocks* allocate_record() noexcept {
  os::lock_guard held(lock);
  if (free_records == nullptr) {
    void* memory = allocate_metadata(sizeof(absent_blocks));
    return memory == nullptr ? nullptr : new (memory) absent_blocks{};
  }
  absent_blocks* record = free_records;
  free_records = reinterpret_cast<absent_blocks*>(record->words[0]);
  *record = absent_blocks{};
  return record;
}

void free_record(absent_blocks* record) noexcept {
  os::lock_guard held(lock);
  record->words[0] = reinterpret_cast<std::uintptr_t>(free_records);
  free_records = record;
}

std::uintptr_t first_block(const span* of) noexcept {
  const std::size_t size = class_bytes[of->size_class];
  return (page_address(of->first_page) + size - 1) / size * size;
}

std::uint32_t carved_count(const span* of) noexcept {
  return static_cast<std::uint32_t>((of->carve_next - first_block(of)) / class_bytes[of->size_class]);
}

// Which blocks touch [begin, end): a half-open range, within those there are.
struct block_range {
  std::uint32_t begin, end;
};
block_range touching(const span* of, std::uintptr_t begin, std::uintptr_t end) noexcept {
  const std::size_t size = class_bytes[of->size_class];
  const std::uintptr_t first = first_block(of);
  const auto low = static_cast<std::uint32_t>(begin <= first ? 0 : (begin - first) / size);
  const auto high = static_cast<std::uint32_t>(end <= first ? 0 : (end - first + size - 1) / size);
  return {low < of->block_count ? low : of->block_count, high < of->block_count ? high : of->block_count};
}

void add_page(thinning_plan* plan, std::uint32_t offset_bytes, std::uint32_t page_bytes) noexcept {
  thinning_plan::run* last = plan->run_count == 0 ? nullptr : &plan->runs[plan->run_count - 1];
  if (last == nullptr || last->offset_bytes + last->bytes != offset_bytes) {
    last = &plan->runs[plan->run_count++];
    *last = {offset_bytes, 0};
  }
  last->bytes += page_bytes;
  plan->bytes += page_bytes;
}

}  // namespace

std::uint32_t block_index(const span* of, const void* block) noexcept {
  const auto index = static_cast<std::uint32_t>((reinterpret_cast<std::uintptr_t>(block) - first_block(of)) /
                                                class_bytes[of->size_class]);
  TENURE_DCHECK(index < of->block_count);
  return index;
}

bool is_absent(const span* of, const void* block) noexcept {
  if (reinterpret_cast<std::uintptr_t>(block) >= __atomic_load_n(&of->carve_next, __ATOMIC_RELAXED)) return true;
  const absent_blocks* absent = __atomic_load_n(&of->absent, __ATOMIC_ACQUIRE);
  return absent != nullptr && absent->test(block_index(of, block));
}

void plan_thinning(const span* of, thinning_plan* plan) noexcept {
  plan->run_count = plan->bytes = 0;
  plan->leaving = {};
  if (of->block_count > absent_blocks::capacity) return;
  absent_blocks listed{};
  for (free_block* block = decode_link(of->free_list); block != nullptr; block = next_of(block)) {
    TENURE_CHECK(find_span(block) == of);  // a link that was overwritten after the free
    listed.set(block_index(of, block));
  }
  const std::uint32_t carved = carved_count(of);
  const auto page_bytes = static_cast<std::uint32_t>(os::page_bytes());
  const std::uintptr_t begin = page_address(of->first_page);
  const auto span_bytes = of->page_count << page_shift;
  for (std::uint32_t offset = 0; offset < span_bytes && plan->run_count < thinning_plan::most_runs;
       offset += page_bytes) {
    const block_range blocks = touching(of, begin + offset, begin + offset + page_bytes);
    bool all_free = true;
    bool any_listed = false;
    for (std::uint32_t i = blocks.begin; i < blocks.end && all_free; ++i) {
      any_listed = any_listed || listed.test(i);
      all_free = listed.test(i) || i >= carved || (of->absent != nullptr && of->absent->test(i));
    }
    if (!all_free || !any_listed) continue;
    add_page(plan, offset, page_bytes);
    for (std::uint32_t i = blocks.begin; i < blocks.end; ++i) {
      if (listed.test(i)) plan->leaving.set(i);
    }
  }
}

bool take_out_absent(span* from, const thinning_plan& plan) noexcept {
  if (from->absent == nullptr) {
    absent_blocks* record = allocate_record();
    if (record == nullptr) return false;
    __atomic_store_n(&from->absent, record, __ATOMIC_RELEASE);
  }
  free_block* block = decode_link(from->free_list);
  from->free_list = empty_link;
  from->listed_count = 0;
  while (block != nullptr) {
    free_block* following = next_of(block);
    const std::uint32_t index = block_index(from, block);
    if (plan.leaving.test(index)) {
      TENURE_CHECK(!from->absent->test(index));
      from->absent->set(index);
      ++from->absent_count;
    } else {
      block->link = from->free_list;
      from->free_list = encode_link(block);
      ++from->listed_count;
    }
    block = following;
  }
  TENURE_DCHECK(from->listed_count + from->absent_count <= from->free_count);
  return true;
}

void bring_back_absent(span* from, std::uint32_t wanted, block_chain* chain) noexcept {
  const std::uintptr_t first = first_block(from);
  const std::size_t size = class_bytes[from->size_class];
  for (std::size_t word = 0; wanted != 0 && from->absent_count != 0; ++word) {
    TENURE_CHECK(word < absent_blocks::capacity / 64);
    while (wanted != 0 && from->absent->words[word] != 0) {
      const auto index = static_cast<std::uint32_t>(word * 64) +
                         static_cast<std::uint32_t>(__builtin_ctzll(from->absent->words[word]));
      from->absent->clear(index);
      --from->absent_count;
      --from->free_count;
      --wanted;
      auto* block = reinterpret_cast<free_block*>(first + index * size);
      block->link = encode_link(chain->first);
      chain->first = block;
      ++chain->count;
    }
  }
  if (from->absent_count == 0) forget_absent(from);
}

void forget_absent(span* of) noexcept {
  if (of->absent == nullptr) return;
  absent_blocks* record = of->absent;
  __atomic_store_n(&of->absent, nullptr, __ATOMIC_RELEASE);
  of->absent_count = 0;
  free_record(record);
}

}  // namespace tenure::core
