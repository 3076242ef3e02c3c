// Events of one process as a block: allocations and frees in order of time, column by column, so that like stands
// beside like and compresses well. docs/reference/recording-format.md has the columns.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "instruments/record/byte_stream.h"

namespace tenure::record {

enum class event_kind : std::uint8_t {
  allocation = 0,
  free = 1,
  stray_free = 2,  // of a block whose allocation was not told: before recording began, in the parent, or lost
};

inline constexpr std::uint32_t no_stack = 0xffff'ffff;

// Numbers of threads and stacks are those of the process's dictionary.
struct event {
  event_kind kind = event_kind::allocation;
  std::uint8_t entry = 0;  // wire::allocation_entry; of an allocation
  std::uint32_t thread = 0;
  std::uint32_t stack = no_stack;  // of a free: where it was freed, if that was told
  std::uint32_t slot = 0;          // of a free: that of its allocation (slot_table.h)
  std::uint64_t bytes = 0;         // of an allocation: as requested
  std::uint64_t time_ns = 0;       // a multiple of event_time_unit_ns
  bool operator==(const event&) const = default;
};

inline constexpr std::uint64_t event_time_unit_ns = 128;
inline constexpr std::uint32_t event_block_limit = 1u << 20;

// Values that seldom change: each with how often it comes in a row.
class run_writer {
 public:
  void add(std::uint64_t value) {
    if (length_ != 0 && value == value_) {
      ++length_;
      return;
    }
    flush();
    value_ = value;
    length_ = 1;
  }
  byte_writer& finish() {
    flush();
    return column_;
  }
  void clear() {
    column_.clear();
    length_ = 0;
  }

 private:
  void flush() {
    if (length_ == 0) return;
    column_.number(value_);
    column_.number(length_);
    length_ = 0;
  }
  byte_writer column_;
  std::uint64_t value_ = 0;
  std::uint64_t length_ = 0;
};

// Makes blocks of events, one after the other in the same memory.
class event_encoder {
 public:
  // Valid until the next one.
  const byte_writer& encode(std::span<const event> events);
  byte_writer take() { return std::move(block_); }

 private:
  byte_writer kinds_, times_, stacks_, sizes_, slots_, free_stacks_;
  run_writer threads_, entries_;
  byte_writer block_;
};

// A single one.
byte_writer encode_events(std::span<const event> events);

// False when the bytes are not such a block; `into` is then of no use.
bool decode_events(std::span<const std::uint8_t> bytes, std::vector<event>& into);

}  // namespace tenure::record
