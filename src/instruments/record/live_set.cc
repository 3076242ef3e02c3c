#include "instruments/record/live_set.h"

#include <algorithm>
#include <utility>

namespace tenure::record {
namespace {

constexpr std::uint64_t slot_limit = 0xffff'ffff;
constexpr std::uint64_t part_limit = 1024;  // a thousand million live blocks

}  // namespace

event live_set::block_at(std::uint32_t slot) const {
  const kept& block = blocks_[slot];
  return {event_kind::allocation, block.entry, block.thread, block.stack, slot, block.bytes, block.time_ns};
}

void live_set::write_checkpoint(const std::function<void(std::span<const std::uint8_t>)>& write) const {
  const std::uint64_t parts = std::max<std::uint64_t>(1, (live_count() + event_block_limit - 1) / event_block_limit);
  std::vector<event> events;
  std::uint32_t slot = 0;
  for (std::uint64_t part = 0; part < parts; ++part) {
    byte_writer block;
    block.number(part);
    block.number(parts);
    if (part == 0) {
      for (const std::uint64_t figure :
           {told_.events, told_.allocations, told_.allocated_bytes, told_.stray_frees, told_.last_ns})
        block.number(figure);
      block.number(slots_.size());
      block.number(slots_.given().size());
      std::int64_t last = 0;
      for (const std::uint32_t given : slots_.given()) {
        block.signed_number(std::int64_t{given} - last);
        last = given;
      }
    }
    events.clear();
    for (; slot < blocks_.size() && events.size() < event_block_limit; ++slot)
      if (slots_.is_used(slot)) events.push_back(block_at(slot));
    block.append(encode_events(events));
    write(block.bytes());
  }
}

checkpoint_reader::state checkpoint_reader::take(std::span<const std::uint8_t> part) {
  if (next_ == parts_) next_ = parts_ = 0;
  byte_reader from(part);
  const std::uint64_t number = from.number();
  const std::uint64_t parts = from.number();
  const bool follows = number == next_ && (number == 0 ? parts != 0 && parts <= part_limit : parts == parts_);
  if (!from.ok() || !follows) return state::broken;
  parts_ = parts;
  if (number == 0) next_slot_ = 0;
  if (number == 0 && !take_head(from)) return state::broken;
  next_ = number + 1;
  const std::uint64_t length = from.count();
  if (!from.ok() || length != from.left() || !take_blocks(part.last(length))) return state::broken;
  if (next_ != parts_) return state::open;
  pass_free_slots();
  return next_slot_ == slots_.size() ? state::complete : state::broken;
}

bool checkpoint_reader::take_head(byte_reader& from) {
  for (std::uint64_t* figure :
       {&told_.events, &told_.allocations, &told_.allocated_bytes, &told_.stray_frees, &told_.last_ns})
    *figure = from.number();
  const std::uint64_t slots = from.number_below(slot_limit);
  const std::uint64_t given = from.count();
  // Each used slot will be told by a byte at least, each free one is: no short part can ask for much memory. (The used
  // ones of later parts are bound by those parts when they come.)
  if (!from.ok() || given > slots) return false;
  std::vector<std::uint32_t> order;
  order.reserve(given);
  std::int64_t last = 0;
  for (std::uint64_t i = 0; i < given; ++i) {
    last += from.signed_number();
    if (last < 0 || static_cast<std::uint64_t>(last) >= slots) return false;
    order.push_back(static_cast<std::uint32_t>(last));
  }
  if (slots - given > parts_ * std::uint64_t{event_block_limit} || (parts_ == 1 && slots - given > from.left()))
    return false;
  return from.ok() && slots_.restore(static_cast<std::uint32_t>(slots), std::move(order), told_.allocations);
}

bool checkpoint_reader::take_blocks(std::span<const std::uint8_t> events) {
  if (!decode_events(events, blocks_)) return false;
  for (event& one : blocks_) {
    pass_free_slots();
    if (next_slot_ >= slots_.size() || one.kind != event_kind::allocation) return false;
    one.slot = next_slot_++;
  }
  return true;
}

}  // namespace tenure::record
