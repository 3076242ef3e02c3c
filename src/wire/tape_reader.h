// The reader's half of a tape's rings and stacks (tape.h has the rules).
//
// The memory belongs to a program that may be broken or hostile and may change while it is read: what is read is copied
// first, positions are held against the ring's capacity, and a stack's chain must lead to ever smaller numbers.
//
// One reader a ring; not thread-safe. Plain C++20, so that instruments and tests outside the core can include it.
#pragma once

#include <cstdint>
#include <cstring>

#include "wire/tape.h"

namespace tenure::wire {

// A record as it was told, taken apart.
struct tape_record {
  tape_kind kind = tape_kind::none;
  std::uint32_t entry = 0;  // enum allocation_entry
  std::uint32_t stack = 0;
  std::uint64_t address = 0;  // or the thread id
  std::uint64_t ticks = 0;
  std::uint64_t bytes = 0;
  tape_loss_counts lost = {};  // of a record `thread`: by the ring's threads before
};

// The record at the beginning of `words`; 0 when there is none that is whole. Otherwise how many words it takes.
inline std::uint64_t decode_tape_record(const std::uint64_t* words, std::uint64_t count, tape_record* out) noexcept {
  if (count == 0) return 0;
  const std::uint64_t first = words[0];
  const std::uint64_t length = tape_record_words(first);
  if (length == 0 || length > count) return 0;
  out->kind = static_cast<tape_kind>(first >> tape_kind_shift);
  out->entry = static_cast<std::uint32_t>(first >> tape_entry_shift & 15);
  out->address = first & tape_address_mask;
  out->ticks = words[1];
  out->stack = length > 2 ? static_cast<std::uint32_t>(words[2] >> tape_stack_shift) : 0;
  out->bytes = 0;
  if (out->kind == tape_kind::allocation) out->bytes = words[2] & (tape_narrow_limit_bytes - 1);
  if (length == 4) out->bytes = words[3];
  if (out->kind == tape_kind::thread) {
    out->stack = 0;
    out->lost = {words[2], words[3], words[4]};
  }
  if (out->kind == tape_kind::free_range) {
    out->stack = 0;
    out->bytes = words[2];
  }
  return length;
}

class tape_ring_reader {
 public:
  // `words` is of `capacity_words`, a power of two, as the reader knows it (ring_place_of) and not as the tape says.
  tape_ring_reader(tape_ring_header* header, const std::uint64_t* words, std::uint64_t capacity_words) noexcept
      : header_(header), words_(words), capacity_(capacity_words), tail_(load(&header->tail)) {}

  // Hands what was written since the last time to append(words, count), in one or two pieces, and gives its place back.
  // False when the head makes no sense: nothing more can be read from this ring.
  template <class Append>
  bool take(Append&& append) {
    const std::uint64_t head = load(&header_->head);
    const std::uint64_t count = head - tail_;
    if (count == 0) return true;
    if (count > capacity_) return false;
    const std::uint64_t place = tail_ & (capacity_ - 1);
    const std::uint64_t straight = count < capacity_ - place ? count : capacity_ - place;
    append(words_ + place, straight);
    if (straight < count) append(words_, count - straight);
    tail_ = head;
    __atomic_store_n(&header_->tail, tail_, __ATOMIC_RELEASE);
    return true;
  }

  std::uint64_t waiting_words() const noexcept { return load(&header_->head) - tail_; }
  std::uint64_t capacity_words() const noexcept { return capacity_; }
  tape_loss_counts lost() const noexcept {
    return {load(&header_->lost_allocations), load(&header_->lost_bytes), load(&header_->lost_frees)};
  }
  std::uint64_t waits() const noexcept { return load(&header_->waits); }
  std::uint64_t wait_ns() const noexcept { return load(&header_->wait_ns); }

 private:
  static std::uint64_t load(const std::uint64_t* word) noexcept { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

  tape_ring_header* header_;
  const std::uint64_t* words_;
  std::uint64_t capacity_;
  std::uint64_t tail_;
};

// The node of a stack that a record has named; false when the number or the node makes no sense. A record names only
// nodes that are written, and what a node's chain leads to was written before it.
inline bool read_stack_node(const stack_node* nodes, std::uint32_t number, stack_node* out) noexcept {
  if (number < stack_root_count || number >= stack_node_capacity) return false;
  std::memcpy(out, &nodes[number], sizeof *out);
  return out->parent < number && out->address != 0;
}

}  // namespace tenure::wire
