#include "instruments/record/event_block.h"

namespace tenure::record {
namespace {

class run_reader {
 public:
  explicit run_reader(byte_reader column) : column_(column) {}
  std::uint64_t next() {
    if (left_ == 0) {
      value_ = column_.number();
      left_ = column_.number();
      if (left_ == 0) return column_.fail();
    }
    --left_;
    return value_;
  }
  bool is_done() const { return column_.ok() && column_.left() == 0 && left_ == 0; }
  bool ok() const { return column_.ok(); }

 private:
  byte_reader column_;
  std::uint64_t value_ = 0;
  std::uint64_t left_ = 0;
};

}  // namespace

const byte_writer& event_encoder::encode(std::span<const event> events) {
  for (byte_writer* column : {&kinds_, &times_, &stacks_, &sizes_, &slots_, &free_stacks_, &block_}) column->clear();
  for (run_writer* column : {&threads_, &entries_}) column->clear();
  std::uint64_t last_time = 0;
  std::int64_t last_slot = 0;
  bool knows_free_stacks = false;
  for (const event& one : events) {
    const std::uint64_t time = one.time_ns / event_time_unit_ns;
    kinds_.number(static_cast<std::uint64_t>(one.kind));
    times_.signed_number(static_cast<std::int64_t>(time - last_time));
    last_time = time;
    threads_.add(one.thread);
    if (one.kind == event_kind::allocation) {
      stacks_.number(one.stack);
      sizes_.number(one.bytes);
      entries_.add(one.entry);
      continue;
    }
    free_stacks_.number(one.stack == no_stack ? 0 : std::uint64_t{one.stack} + 1);
    knows_free_stacks |= one.stack != no_stack;
    if (one.kind != event_kind::free) continue;
    slots_.signed_number(std::int64_t{one.slot} - last_slot);
    last_slot = one.slot;
  }
  block_.number(events.size());
  for (const byte_writer* column :
       {&kinds_, &times_, &threads_.finish(), &stacks_, &sizes_, &entries_.finish(), &slots_})
    block_.append(*column);
  if (knows_free_stacks) block_.append(free_stacks_);
  return block_;
}

byte_writer encode_events(std::span<const event> events) {
  event_encoder encoder;
  encoder.encode(events);
  return encoder.take();
}

bool decode_events(std::span<const std::uint8_t> bytes, std::vector<event>& into) {
  byte_reader block(bytes);
  const std::uint64_t count = block.number_below(event_block_limit + 1);
  byte_reader kinds = block.part(), times = block.part();
  run_reader threads(block.part());
  byte_reader stacks = block.part(), sizes = block.part();
  run_reader entries(block.part());
  byte_reader slots = block.part();
  const bool knows_free_stacks = block.left() != 0;
  byte_reader free_stacks = knows_free_stacks ? block.part() : byte_reader({});
  // One byte of kind each: no short block can ask for much memory.
  if (!block.ok() || block.left() != 0 || kinds.left() != count) return false;
  into.clear();
  into.reserve(count);
  std::uint64_t time = 0;
  std::int64_t slot = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    event one;
    const std::uint64_t kind = kinds.number_below(3);
    one.kind = static_cast<event_kind>(kind);
    time += static_cast<std::uint64_t>(times.signed_number());
    one.time_ns = time * event_time_unit_ns;
    one.thread = static_cast<std::uint32_t>(threads.next());
    if (one.kind == event_kind::allocation) {
      one.stack = static_cast<std::uint32_t>(stacks.number());
      one.bytes = sizes.number();
      one.entry = static_cast<std::uint8_t>(entries.next());
    } else {
      // 0, for none, becomes no_stack.
      if (knows_free_stacks) one.stack = static_cast<std::uint32_t>(free_stacks.number_below(1ull << 32) - 1);
      if (one.kind == event_kind::free) slot += slots.signed_number();
      if (one.kind == event_kind::free) one.slot = static_cast<std::uint32_t>(slot);
    }
    into.push_back(one);
  }
  return kinds.ok() && times.ok() && times.left() == 0 && threads.is_done() && stacks.ok() && stacks.left() == 0 &&
         sizes.ok() && sizes.left() == 0 && entries.is_done() && slots.ok() && slots.left() == 0 && free_stacks.ok() &&
         free_stacks.left() == 0;
}

}  // namespace tenure::record
