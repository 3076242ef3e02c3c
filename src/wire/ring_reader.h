// The reader's half of the event ring (event.h has the rules): takes published records, copies them out, gives the
// place back.
//
//   tail                       head
//    v                          v
//   [record][record][0 ......  ][record]      0: reserved, not yet published
//    ^ taken in order, stops at the first zero word
//
// The memory belongs to a program that may be broken or hostile, and may change while it is read: every length is
// checked against what the ring can hold, a record is copied before anyone looks into it, and the reader keeps its own
// tail. What cannot be understood is stepped over word by word to the next plausible header and counted.
//
// One reader a ring; not thread-safe. Plain C++20, so that instruments and tests outside the core can include it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/event.h"

namespace tenure::wire {

// No record is longer; a path has at most 4096 bytes, a stack 128 frames.
inline constexpr std::uint64_t event_limit_bytes = 8192;

// What to do at a word that is reserved and not published.
enum class hole {
  wait,  // its writer is still at it: take no more now
  skip,  // its writer is dead (the process is gone): step over it, counted
};

struct ring_losses {
  std::uint64_t bytes = 0;  // stepped over
  std::uint64_t gaps = 0;   // separate places where that happened; each held one record or more
  bool corrupt = false;     // head makes no sense: nothing more can be read
};

struct no_pause {
  void operator()() const noexcept {}
};

// `Pause` is called between the steps of the protocol; the systematic test interleaves there.
template <class Pause = no_pause>
class basic_ring_reader {
 public:
  // `capacity_bytes` is the reader's own knowledge (ring_capacity_bytes), never taken from the ring.
  basic_ring_reader(ring_header* header, std::byte* records, std::uint64_t capacity_bytes) noexcept
      : header_(header), records_(records), capacity_(capacity_bytes), tail_(load(&header->tail) & ~7ull) {}

  // The ring of a mapped region of at least region_bytes.
  explicit basic_ring_reader(std::byte* region) noexcept
      : basic_ring_reader(reinterpret_cast<ring_header*>(region + ring_offset_bytes),
                          region + ring_records_offset_bytes, ring_capacity_bytes) {}

  // Calls visit(std::span<const std::byte>) for each event, header included, oldest first; the span is the reader's
  // own copy and lasts until visit returns. At most `limit` events. Returns how many.
  template <class Visit>
  std::size_t drain(Visit&& visit, hole at_hole = hole::wait, std::size_t limit = ~std::size_t{0}) {
    std::size_t taken = 0;
    while (taken < limit) {
      const std::uint64_t bytes = take(at_hole);
      if (bytes == 0) break;
      visit(std::span<const std::byte>(copy_.data(), bytes));
      ++taken;
    }
    return taken;
  }

  const ring_losses& losses() const noexcept { return losses_; }
  std::uint64_t dropped_events() const noexcept { return load(&header_->dropped_events); }
  std::uint64_t dropped_bytes() const noexcept { return load(&header_->dropped_bytes); }
  std::uint64_t position() const noexcept { return tail_; }

 private:
  static std::uint64_t load(const std::uint64_t* word) noexcept { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

  static std::uint64_t least_bytes(std::uint16_t kind) noexcept {
    switch (static_cast<event_kind>(kind)) {
      case event_kind::padding:
        return sizeof(event_header);
      case event_kind::allocation_sample:
      case event_kind::inherited_sample:
        return sizeof(allocation_sample_event);
      case event_kind::free_sample:
        return sizeof(free_sample_event);
      case event_kind::module:
        return sizeof(module_event);
      case event_kind::thread:
        return sizeof(thread_event);
      default:
        return ~0ull;
    }
  }

  bool plausible(const event_header& header, std::uint64_t place, std::uint64_t available) const noexcept {
    if (header.magic != event_magic || header.bytes % 8 != 0) return false;
    if (header.bytes < least_bytes(header.kind) || header.bytes > available) return false;
    if (header.bytes > capacity_ - place) return false;
    if (header.kind == static_cast<std::uint16_t>(event_kind::padding)) return header.bytes == capacity_ - place;
    return header.bytes <= event_limit_bytes;
  }

  // Copies the next event to copy_ and gives its place back. Its length; 0 when there is none.
  std::uint64_t take(hole at_hole) noexcept {
    bool in_gap = false;
    for (;;) {
      const std::uint64_t head = load(&header_->head);
      pause_();
      const std::uint64_t available = head - tail_;
      if (available == 0) return 0;
      if (available > capacity_ || head % 8 != 0) return losses_.corrupt = true, 0;
      const std::uint64_t place = tail_ % capacity_;
      const std::uint64_t word = load(reinterpret_cast<std::uint64_t*>(records_ + place));
      pause_();
      if (word == 0 && at_hole == hole::wait) return 0;
      event_header header;
      std::memcpy(&header, &word, sizeof header);
      if (!plausible(header, place, available)) {
        if (!in_gap) ++losses_.gaps;
        in_gap = true;
        losses_.bytes += 8;
        give_back(place, 8);
        continue;
      }
      in_gap = false;
      if (header.kind == static_cast<std::uint16_t>(event_kind::padding)) {
        give_back(place, header.bytes);
        continue;
      }
      std::memcpy(copy_.data(), &word, sizeof word);
      std::memcpy(copy_.data() + sizeof word, records_ + place + sizeof word, header.bytes - sizeof word);
      pause_();
      give_back(place, header.bytes);
      return header.bytes;
    }
  }

  // Zeroes first: the next lap's writer must find no old header where it has not yet published its own.
  void give_back(std::uint64_t place, std::uint64_t bytes) noexcept {
    std::memset(records_ + place, 0, bytes);
    pause_();
    tail_ += bytes;
    __atomic_store_n(&header_->tail, tail_, __ATOMIC_RELEASE);
  }

  ring_header* header_;
  std::byte* records_;
  std::uint64_t capacity_;
  std::uint64_t tail_;
  ring_losses losses_;
  [[no_unique_address]] Pause pause_;
  alignas(8) std::array<std::byte, event_limit_bytes> copy_;
};

using ring_reader = basic_ring_reader<>;

// An event as drained, taken apart: false when it is of another kind or its counts do not fit its length.
inline event_kind kind_of(std::span<const std::byte> event) noexcept {
  event_header header{};
  if (event.size() >= sizeof header) std::memcpy(&header, event.data(), sizeof header);
  return static_cast<event_kind>(header.kind);
}

namespace detail {

template <class Event>
bool decode_head(std::span<const std::byte> event, event_kind kind, Event* out) noexcept {
  if (event.size() < sizeof(Event) || kind_of(event) != kind) return false;
  std::memcpy(out, event.data(), sizeof(Event));
  return true;
}

template <class Event>
bool decode_stack(std::span<const std::byte> event, const Event& head,
                  std::span<const std::uint64_t>* frames) noexcept {
  const std::size_t room = (event.size() - sizeof(Event)) / sizeof(std::uint64_t);
  if (head.frame_count > room || head.frame_count > stack_capacity_frames) return false;
  *frames = {reinterpret_cast<const std::uint64_t*>(event.data() + sizeof(Event)), head.frame_count};
  return true;
}

}  // namespace detail

// `frames` and `path` point into `event`, which must be aligned to 8 as drain() gives it.
inline bool decode(std::span<const std::byte> event, allocation_sample_event* out,
                   std::span<const std::uint64_t>* frames) noexcept {
  const bool is_head = detail::decode_head(event, event_kind::allocation_sample, out) ||
                       detail::decode_head(event, event_kind::inherited_sample, out);
  return is_head && detail::decode_stack(event, *out, frames);
}
inline bool decode(std::span<const std::byte> event, free_sample_event* out,
                   std::span<const std::uint64_t>* frames) noexcept {
  return detail::decode_head(event, event_kind::free_sample, out) && detail::decode_stack(event, *out, frames);
}
inline bool decode(std::span<const std::byte> event, module_event* out, std::span<const char>* path) noexcept {
  if (!detail::decode_head(event, event_kind::module, out)) return false;
  if (out->path_bytes > event.size() - sizeof *out || out->build_id_bytes > sizeof out->build_id) return false;
  *path = {reinterpret_cast<const char*>(event.data() + sizeof *out), out->path_bytes};
  return true;
}
inline bool decode(std::span<const std::byte> event, thread_event* out) noexcept {
  if (!detail::decode_head(event, event_kind::thread, out)) return false;
  out->name[sizeof out->name - 1] = '\0';
  return true;
}

}  // namespace tenure::wire
