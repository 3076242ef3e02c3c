#include "core/heap/thinning.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/span_blocks.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

// Which blocks touch a part of the span, given as offsets from its start: a half-open range, within those there are.
struct block_range {
  std::uint32_t begin, end;
};
block_range touching(const span* of, std::size_t begin_offset, std::size_t end_offset) noexcept {
  const std::size_t size = class_bytes[of->size_class];
  const std::size_t lead = of->first_block - page_address(of->first_page);
  const auto low = static_cast<std::uint32_t>(begin_offset <= lead ? 0 : (begin_offset - lead) / size);
  const auto high = static_cast<std::uint32_t>(end_offset <= lead ? 0 : (end_offset - lead + size - 1) / size);
  return {low < of->block_count ? low : of->block_count, high < of->block_count ? high : of->block_count};
}

// Whether the page holds free blocks alone, of which one at least may have memory.
bool may_go(const span* of, std::size_t offset, std::size_t page_bytes) noexcept {
  const block_range blocks = touching(of, offset, offset + page_bytes);
  bool any_present = false;
  for (std::uint32_t i = blocks.begin; i < blocks.end; ++i) {
    if (!is_free(of, i)) return false;
    any_present = any_present || (may_be_resident(of, i) && !is_absent(of, i));
  }
  return any_present;
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

void plan_thinning(const span* of, thinning_plan* plan) noexcept {
  plan->run_count = plan->bytes = 0;
  const auto page_bytes = static_cast<std::uint32_t>(os::page_bytes());
  const std::uint32_t span_bytes = of->page_count << page_shift;
  for (std::uint32_t offset = 0; offset < span_bytes && plan->run_count < thinning_plan::most_runs;
       offset += page_bytes) {
    if (may_go(of, offset, page_bytes)) add_page(plan, offset, page_bytes);
  }
}

bool mark_absent(span* of, const thinning_plan& plan) noexcept {
  if (of->absent_bits == nullptr) {
    of->absent_bits = allocate_bits(of->block_count);
    if (of->absent_bits == nullptr) return false;
    for (std::uint32_t word = 0; word < bit_words(of); ++word) of->absent_bits[word] = 0;
  }
  for (std::uint32_t run = 0; run < plan.run_count; ++run) {
    const std::size_t begin = plan.runs[run].offset_bytes;
    const block_range blocks = touching(of, begin, begin + plan.runs[run].bytes);
    const std::uint32_t end = of->zeroed && of->carved_count < blocks.end ? of->carved_count : blocks.end;
    // What was never handed out and is resident nevertheless counts as if it had been, from now on.
    if (end > of->carved_count) __atomic_store_n(&of->carved_count, end, __ATOMIC_RELAXED);
    for (std::uint32_t i = blocks.begin; i < end; ++i) {
      TENURE_DCHECK(is_free(of, i));
      if (is_absent(of, i)) continue;
      of->absent_bits[i / 64] |= std::uint64_t{1} << (i % 64);
      ++of->absent_count;
    }
  }
  return true;
}

}  // namespace tenure::core
