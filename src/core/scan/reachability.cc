#include "core/scan/reachability.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/heap/size_class.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

constexpr std::size_t word_bytes = sizeof(std::uintptr_t);
// Shorter ranges are not worth asking which of their pages were touched.
constexpr std::size_t least_asked_bytes = 64 * 1024;

bool is_in_heap(std::uintptr_t address) noexcept { return address - window.begin < window.mapped_pages << page_shift; }

// Memory of the program, or what was: red zones and other threads' writes are no matter in a copy.
__attribute__((no_sanitize("address", "thread"))) std::uintptr_t word_at(std::uintptr_t address) noexcept {
  return *reinterpret_cast<const std::uintptr_t*>(address);
}

// Whether a block of so many usable bytes is what a request for `bytes` gets.
bool is_block_for(std::uint64_t usable_bytes, std::uint64_t bytes) noexcept {
  if (bytes == 0 || bytes > usable_bytes) return false;
  if (bytes <= largest_small_bytes) return class_bytes[class_of(bytes)] == usable_bytes;
  return align_up(bytes, page_size_bytes) == usable_bytes;
}

}  // namespace

template <class Visit>
__attribute__((no_sanitize("address", "thread"))) void reachability::visit_words(std::uintptr_t begin,
                                                                                 std::uintptr_t end,
                                                                                 Visit&& visit) noexcept {
  const std::uintptr_t heap_begin = window.begin;
  const std::uintptr_t heap_bytes = window.mapped_pages << page_shift;
  const auto look = [&](std::uintptr_t from, std::uintptr_t to) __attribute__((no_sanitize("address", "thread"))) {
    for (std::uintptr_t at = from; at + word_bytes <= to; at += word_bytes) {
      const std::uintptr_t word = *reinterpret_cast<const std::uintptr_t*>(at);
      if (unlikely(word - heap_begin < heap_bytes)) visit(word, at);
    }
  };
  begin = align_up(begin, word_bytes);
  if (begin >= end) return;
  if (end - begin < least_asked_bytes) {
    look(begin, end);
  } else {
    touched_.for_each(begin, end, look);
  }
}

template <class Visit>
void reachability::visit_block(const found_block& block, Visit&& visit) noexcept {
  const std::uintptr_t end = block.begin + block.run->block_bytes;
  for (std::uintptr_t at = block.begin; at < end;) {
    const mapping* const there = mapping_at(at);
    if (there == nullptr || there->begin >= end) return;
    const std::uintptr_t stop = there->end < end ? there->end : end;
    if (there->is_readable) visit_words(there->begin > at ? there->begin : at, stop, visit);
    at = stop;
  }
}

const mapping* reachability::mapping_at(std::uintptr_t address) noexcept {
  if (last_mapping_ != nullptr && last_mapping_->holds(address)) return last_mapping_;
  const std::size_t place = map_.first_above(address);
  return last_mapping_ = place == map_.count() ? nullptr : &map_[place];
}

bool reachability::is_readable(std::uintptr_t begin, std::uintptr_t end) noexcept {
  while (begin < end) {
    const mapping* const there = mapping_at(begin);
    if (there == nullptr || !there->holds(begin) || !there->is_readable) return false;
    begin = there->end;
  }
  return true;
}

bool reachability::prepare() noexcept {
  TENURE_CHECK(reached_ == nullptr);
  const std::size_t bytes = (blocks_.live_blocks() + 1) * sizeof *reached_;
  reached_ = static_cast<std::uintptr_t*>(os::map_anywhere(align_up(bytes, os::page_bytes())));
  return reached_ != nullptr;
}

// The address points into a table of functions when it lies in what a module cannot write and the word there is code.
bool reachability::is_table_of_functions(std::uintptr_t address) const noexcept {
  if (address == 0 || address % word_bytes != 0) return false;
  const mapping* const table = map_.find(address);
  if (table == nullptr || !table->is_readable || table->is_writable || !table->is_of_file) return false;
  const mapping* const code = map_.find(word_at(address));
  return code != nullptr && code->is_executable;
}

bool reachability::is_held_inside(const found_block& block, std::uintptr_t pointer) noexcept {
  const std::uint64_t usable_bytes = block.run->block_bytes;
  const std::uintptr_t offset = pointer - block.begin;
  TENURE_DCHECK(offset != 0 && offset < usable_bytes);
  if (offset % word_bytes != 0) return false;
  const std::uintptr_t head_end = block.begin + 2 * word_bytes;
  if (!is_readable(block.begin, head_end) || !is_readable(pointer - word_bytes, pointer + word_bytes)) return false;
  const std::uintptr_t first = word_at(block.begin);
  // A reference-counted std::string: length, capacity and count before the characters, and a byte behind them.
  constexpr std::uintptr_t string_header_bytes = 3 * word_bytes;
  if (offset == string_header_bytes) {
    const std::uintptr_t capacity = word_at(block.begin + word_bytes);
    if (capacity != 0 && first <= capacity && capacity < usable_bytes &&
        is_block_for(usable_bytes, string_header_bytes + capacity + 1))
      return true;
  }
  // The count that new[] puts before elements with destructors, at the end of what their alignment takes.
  if (offset == word_bytes || offset == 2 * word_bytes) {
    const std::uintptr_t count = word_at(pointer - word_bytes);
    const std::uint64_t room_bytes = usable_bytes - offset;
    const std::uint64_t element_bytes =
        count == 0 || count > room_bytes ? 0 : align_down(room_bytes / count, word_bytes);
    if (element_bytes != 0 && is_block_for(usable_bytes, offset + count * element_bytes)) return true;
  }
  // A length before what it is the length of.
  if (offset == word_bytes && first != 0 && first < usable_bytes && is_block_for(usable_bytes, first + word_bytes))
    return true;
  return is_table_of_functions(first) && is_table_of_functions(word_at(pointer));
}

void reachability::reach(std::uintptr_t pointer, std::uintptr_t place) noexcept {
  const found_block block = blocks_.find(pointer);
  if (block.run == nullptr) return;
  const block_state state = block.state();
  if (state == block_state::free || state == block_state::reachable) return;
  if (pointer != block.begin) {
    if (!is_held_inside(block, pointer)) {
      if (state == block_state::unreached) note_place(block, place);
      return block.set(block_state::possible);
    }
    ++heuristic_blocks_;
  }
  block.set(block_state::reachable);
  note_place(block, place);
  append(block);
}

template <class Visit>
void reachability::visit_reached(Visit&& visit) noexcept {
  while (looked_through_ != reached_count_) {
    const found_block block = blocks_.find(reached_[looked_through_++]);
    TENURE_CHECK(block.run != nullptr);
    visit_block(block, visit);
  }
}

void reachability::add_roots(std::uintptr_t begin, std::uintptr_t end) noexcept {
  TENURE_DCHECK(reached_ != nullptr && looked_through_ == 0);
  root_bytes_ += begin < end ? end - begin : 0;
  visit_words(begin, end, [this](std::uintptr_t word, std::uintptr_t place) { reach(word, place); });
}

void reachability::add_holder(std::uintptr_t place) noexcept {
  const std::uintptr_t pointer = word_at(place);
  if (!is_in_heap(pointer)) return;
  const found_block block = blocks_.find(pointer);
  if (block.run != nullptr) reach(block.begin, place);
}

// What blocks that are possible lead to is possible.
void reachability::reach_possibly() noexcept {
  TENURE_DCHECK(looked_through_ == reached_count_);
  blocks_.for_each_live([this](const found_block& block) {
    if (block.state() == block_state::possible) append(block);
  });
  visit_reached([this](std::uintptr_t word, std::uintptr_t place) {
    const found_block block = blocks_.find(word);
    if (block.run == nullptr || block.state() != block_state::unreached) return;
    block.set(block_state::possible);
    note_place(block, place);
    append(block);
  });
}

void reachability::note_pointed_at() noexcept {
  blocks_.for_each_live([this](const found_block& from) {
    if (from.state() != block_state::unreached) return;
    visit_block(from, [this, &from](std::uintptr_t word, std::uintptr_t) {
      const found_block block = blocks_.find(word);
      if (block.run != nullptr && block.begin != from.begin) block.note(is_pointed_at);
    });
  });
}

// Everything that the block leads to goes with it, also what was found to lead to others before.
void reachability::lead_from(const found_block& first) noexcept {
  wire::block_sum held{};
  first.set(block_state::definite);
  std::size_t end = reached_count_;
  reached_[end++] = first.begin;
  while (end != reached_count_) {
    const found_block from = blocks_.find(reached_[--end]);
    TENURE_CHECK(from.run != nullptr);
    visit_block(from, [&](std::uintptr_t word, std::uintptr_t) {
      const found_block block = blocks_.find(word);
      if (block.run == nullptr || block.begin == first.begin) return;
      const bool was_leader = block.state() == block_state::definite;
      if (!was_leader && block.state() != block_state::unreached) return;
      held.blocks += 1;
      held.bytes += block.run->block_bytes;
      block.set(block_state::indirect);
      if (was_leader) {
        held.blocks += held_by(block).blocks;
        held.bytes += held_by(block).bytes;
      } else {
        reached_[end++] = block.begin;
      }
      block.link().leader = first.begin;
    });
  }
  first.link().held = held;
}

std::uintptr_t reachability::leader_of(const found_block& block) const noexcept {
  std::uintptr_t leader = block.link().leader;
  for (found_block at = blocks_.find(leader); at.state() == block_state::indirect; at = blocks_.find(leader))
    leader = at.link().leader;
  return leader;
}

void reachability::conclude() noexcept {
  visit_reached([this](std::uintptr_t word, std::uintptr_t place) { reach(word, place); });
  reach_possibly();
  note_pointed_at();
  blocks_.for_each_live([this](const found_block& block) {
    if (block.state() == block_state::unreached && !block.is_noted(is_pointed_at)) lead_from(block);
  });
  // What is left are circles, and what they lead to.
  blocks_.for_each_live([this](const found_block& block) {
    if (block.state() == block_state::unreached) lead_from(block);
  });
}

}  // namespace tenure::core
