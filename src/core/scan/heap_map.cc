#include "core/scan/heap_map.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/sampled.h"
#include "core/heap/size_class.h"
#include "core/heap/span_blocks.h"
#include "core/heap/walk.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"
#include "core/pages/page_map.h"

namespace tenure::core {
namespace {

bool is_large(const span* of) noexcept { return of->kind == span_kind::large || of->kind == span_kind::named_large; }
bool has_blocks(const span* of) noexcept { return of->kind == span_kind::small || of->kind == span_kind::named_small; }

std::uint32_t blocks_of(const span* of) noexcept { return is_large(of) ? 1 : has_blocks(of) ? of->block_count : 0; }

wire::mapped_kind kind_of(const span* of) noexcept {
  switch (of->kind) {
    case span_kind::small:
      return wire::mapped_kind::small;
    case span_kind::large:
      return wire::mapped_kind::large;
    case span_kind::named_small:
      return of->owner == &sampled_heap() ? wire::mapped_kind::sampled : wire::mapped_kind::named_small;
    case span_kind::named_large:
      return wire::mapped_kind::named_large;
    case span_kind::free_clean:
      return wire::mapped_kind::free_clean;
    default:
      return wire::mapped_kind::free_dirty;  // on their way to the system too: they still count as dirty
  }
}

std::uint64_t* bits_of(wire::span_record* record) noexcept { return reinterpret_cast<std::uint64_t*>(record + 1); }

// No block of the program's any more.
wire::span_record* take_from_program(const free_block* block) noexcept {
  const span* const home = find_span(block);
  TENURE_CHECK(home != nullptr && home->scratch != nullptr);
  auto* const record = reinterpret_cast<wire::span_record*>(home->scratch);
  const std::uint32_t index = index_of(home, block);
  TENURE_CHECK(index < home->block_count && record->live_blocks != 0);
  const std::uint64_t bit = 1ull << (index % 64);
  TENURE_CHECK((bits_of(record)[index / 64] & bit) != 0);
  bits_of(record)[index / 64] &= ~bit;
  --record->live_blocks;
  return record;
}

}  // namespace

void heap_map::measure(void* map, span* of) noexcept {
  if (of->kind == span_kind::gone) return;
  static_cast<heap_map*>(map)->bytes_ +=
      sizeof(wire::span_record) + wire::map_words(blocks_of(of)) * sizeof(std::uint64_t);
}

void heap_map::add(void* map, span* of) noexcept {
  if (of->kind == span_kind::gone) return;
  auto* const self = static_cast<heap_map*>(map);
  auto* const record = reinterpret_cast<wire::span_record*>(self->memory_ + self->bytes_);
  const std::uint32_t blocks = blocks_of(of);
  self->bytes_ += sizeof *record + wire::map_words(blocks) * sizeof(std::uint64_t);
  record->begin = page_address(of->first_page);
  record->bytes = std::uint64_t{of->page_count} << page_shift;
  record->kind = static_cast<std::uint32_t>(kind_of(of));
  record->block_count = blocks;
  if (is_large(of)) {
    record->first_block = record->begin;
    record->block_bytes = record->bytes;
    record->requested_bytes = of->requested_bytes;
    record->live_blocks = 1;
    bits_of(record)[0] = 1;
  } else if (blocks != 0) {
    record->first_block = of->first_block;
    record->block_bytes = class_bytes[of->size_class];
    record->free_blocks = of->free_count;
    record->absent_blocks = of->absent_count;
    record->unused_blocks = of->block_count - of->carved_count;
    record->live_blocks = blocks - of->free_count;
    // One that is on its way back to the page heap has nothing but free blocks, and no bits any more.
    const bool is_empty = of->free_count == of->block_count;
    for (std::uint32_t i = 0; i < blocks && !is_empty; ++i)
      if (!is_free(of, i)) bits_of(record)[i / 64] |= 1ull << (i % 64);
  }
  of->scratch = reinterpret_cast<std::uint64_t*>(record);
}

void heap_map::note_cached(void*, free_block* block) noexcept { ++take_from_program(block)->cached_blocks; }
void heap_map::note_batch(void*, free_block* block) noexcept { ++take_from_program(block)->batch_blocks; }

bool heap_map::build() noexcept {
  TENURE_CHECK(memory_ == nullptr);
  visit_spans(measure, this, true);
  memory_ = static_cast<std::byte*>(os::map_anywhere(align_up(bytes_ + 1, os::page_bytes())));
  if (memory_ == nullptr) return false;
  const std::size_t measured_bytes = bytes_;
  bytes_ = 0;
  visit_spans(add, this, true);
  TENURE_CHECK(bytes_ == measured_bytes);
  unread_lists_ = visit_cached_blocks(note_cached, note_batch, this);
  return true;
}

}  // namespace tenure::core
