#include "core/scan/block_table.h"

#include "core/base/check.h"
#include "core/heap/walk.h"
#include "core/os/virtual_memory.h"
#include "core/pages/page_heap.h"

namespace tenure::core {
namespace {

void note_free(void* table, free_block* block) noexcept {
  const found_block found = static_cast<const block_table*>(table)->find(reinterpret_cast<std::uintptr_t>(block));
  TENURE_CHECK(found.run != nullptr && found.begin == reinterpret_cast<std::uintptr_t>(block));
  found.set(block_state::free);
}

}  // namespace

void block_table::measure(void* table, span* of) noexcept {
  auto* self = static_cast<block_table*>(table);
  ++self->run_count_;
  self->block_count_ += layout_of(of).count;
}

void block_table::add(void* table, span* of) noexcept {
  auto* self = static_cast<block_table*>(table);
  const span_layout layout = layout_of(of);
  block_run& run = self->runs_[self->run_count_++];
  run = {layout.first,    layout.block_bytes, layout.count, self->next_state_, self->next_state_ + self->block_count_,
         self->next_link_};
  self->next_state_ += layout.count;
  self->next_link_ += layout.count;
  of->scratch = reinterpret_cast<std::uint64_t*>(&run);
  if (of->kind == span_kind::large || of->kind == span_kind::named_large) return;
  for (std::uint32_t i = 0; i < layout.count; ++i)
    if ((of->free_bits[i / 64] >> (i % 64) & 1) != 0) run.states[i] = static_cast<std::uint8_t>(block_state::free);
}

bool block_table::build() noexcept {
  TENURE_CHECK(runs_ == nullptr);
  visit_spans(measure, this);
  const std::size_t run_bytes = run_count_ * sizeof(block_run);
  const std::size_t link_bytes = block_count_ * sizeof(block_link);
  auto* memory =
      static_cast<std::byte*>(os::map_anywhere(run_bytes + link_bytes + 2 * block_count_ + os::page_bytes()));
  if (memory == nullptr) return false;
  runs_ = reinterpret_cast<block_run*>(memory);
  next_link_ = reinterpret_cast<block_link*>(memory + run_bytes);
  next_state_ = reinterpret_cast<std::uint8_t*>(memory + run_bytes + link_bytes);
  run_count_ = 0;
  visit_spans(add, this);
  unread_lists_ = visit_cached_blocks(note_free, note_free, this);
  for_each_live([this](const found_block&) noexcept { ++live_blocks_; });
  return true;
}

}  // namespace tenure::core
