// Live set: the blocks of one process that are alive, by slot, and what had been told by then. Whoever writes a
// recording follows it.
//
//   slot        0      1      2      3
//            [used] [free] [used] [free]      given back: 3, 1 (the last one is taken first)
//
// A checkpoint is a live set in the file, so that whoever begins to read there knows what was alive, and which slot the
// next block takes. It is written in parts of at most a million blocks, each part a block of the file:
//
//   part number, parts
//   of part 0: time, what had been told, how many slots there are, the free ones in the order of giving back
//   an event block (event_block.h) with one allocation for each used slot, in the order of the slots
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "instruments/record/byte_stream.h"
#include "instruments/record/event_block.h"
#include "instruments/record/slot_table.h"

namespace tenure::record {

// What had been told of a process by some moment.
struct told_figures {
  std::uint64_t events = 0;
  std::uint64_t allocations = 0;
  std::uint64_t allocated_bytes = 0;  // as requested
  std::uint64_t stray_frees = 0;
  std::uint64_t last_ns = 0;  // the time of the last event; 0: there was none
  bool operator==(const told_figures&) const = default;
};

class live_set {
 public:
  // Follows the events and fills the slots of allocations in. False at a free that is of no used slot; what comes
  // before has been followed.
  bool follow(std::span<event> events) {
    return follow(
        events, [](const event&, const event*) {}, [](std::uint32_t) {});
  }
  // And calls visit(event, block) for each, before it is followed: the block as its allocation was, which of an
  // allocation is the event itself; null where that was not told. Some events ahead it calls expect(stack), with what
  // is likely to be that of the block.
  template <class Visit, class Expect>
  bool follow(std::span<event> events, Visit&& visit, Expect&& expect) {
    for (std::size_t at = 0; at < events.size(); ++at) {
      if (at + 2 * events_ahead < events.size()) look_ahead(events, at, expect);
      event& one = events[at];
      if (one.kind == event_kind::allocation) {
        visit(std::as_const(one), &std::as_const(one));
        one.slot = slots_.take();
        if (one.slot >= blocks_.size()) blocks_.resize(one.slot + std::size_t{1});
        blocks_[one.slot] = {one.time_ns, one.bytes, one.thread, one.stack, one.entry};
        ++told_.allocations;
        told_.allocated_bytes += one.bytes;
      } else if (one.kind == event_kind::free) {
        if (one.slot >= blocks_.size() || !slots_.is_used(one.slot)) return false;
        const event block = block_at(one.slot);
        visit(std::as_const(one), &block);
        slots_.give(one.slot);
      } else {
        visit(std::as_const(one), nullptr);
        ++told_.stray_frees;
      }
      ++told_.events;
      told_.last_ns = std::max(told_.last_ns, one.time_ns);
    }
    return true;
  }

  const told_figures& told() const { return told_; }
  const slot_table& slots() const { return slots_; }
  // As its allocation was, of a slot in use.
  event block_at(std::uint32_t slot) const;
  std::uint64_t live_count() const { return slots_.size() - slots_.given().size(); }
  // Calls visit(event) for each live block, in the order of the slots, as its allocation was.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint32_t slot = 0; slot < blocks_.size(); ++slot)
      if (slots_.is_used(slot)) visit(block_at(slot));
  }

  // One part after the other.
  void write_checkpoint(const std::function<void(std::span<const std::uint8_t> part)>& write) const;

 private:
  static constexpr std::size_t events_ahead = 8;
  // Of many blocks and stacks, waiting for memory is most of what an event costs: the block is asked for first, and
  // when it has come, what hangs on its stack.
  template <class Expect>
  void look_ahead(std::span<const event> events, std::size_t at, Expect& expect) const {
    const event& far = events[at + 2 * events_ahead];
    if (far.kind == event_kind::free && far.slot < blocks_.size()) __builtin_prefetch(&blocks_[far.slot]);
    const event& near = events[at + events_ahead];
    if (near.kind == event_kind::allocation)
      expect(near.stack);
    else if (near.kind == event_kind::free && near.slot < blocks_.size())
      expect(blocks_[near.slot].stack);
  }
  struct kept {
    std::uint64_t time_ns = 0;
    std::uint64_t bytes = 0;
    std::uint32_t thread = 0;
    std::uint32_t stack = 0;
    std::uint8_t entry = 0;
  };
  slot_table slots_;
  std::vector<kept> blocks_;  // by slot; of those in use
  told_figures told_;
};

// Reads a checkpoint part by part: nobody has to hold it as a whole.
class checkpoint_reader {
 public:
  explicit checkpoint_reader(slot_table::order order = slot_table::order::renewed) : slots_(order) {}
  enum class state { open, complete, broken };
  // The next part. Behind one that is `complete` a new checkpoint may begin.
  state take(std::span<const std::uint8_t> part);
  // Of the part that was taken last: its live blocks as their allocations were, in the order of the slots.
  std::span<const event> blocks() const { return blocks_; }
  std::span<event> blocks() { return blocks_; }
  bool is_first() const { return next_ == 1; }
  const told_figures& told() const { return told_; }
  const slot_table& slots() const { return slots_; }
  std::size_t live_count() const { return slots_.size() - slots_.given().size(); }  // of all parts

 private:
  bool take_head(byte_reader& from);
  bool take_blocks(std::span<const std::uint8_t> events);
  void pass_free_slots() {
    while (next_slot_ < slots_.size() && !slots_.is_used(next_slot_)) ++next_slot_;
  }

  told_figures told_;
  slot_table slots_;
  std::vector<event> blocks_;
  std::uint64_t parts_ = 0;
  std::uint64_t next_ = 0;  // part
  std::uint32_t next_slot_ = 0;
};

}  // namespace tenure::record
