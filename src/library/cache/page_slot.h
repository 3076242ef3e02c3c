// What a page pool knows of a page that is here, or on its way.
//
//   state   [ pins: 48 bits | ......... | fresh aside waited writing dirty writer closed ]
//
//   free ──begin──▶ closed, loading ──▶ open ◀──▶ pinned ──▶ ... ──▶ closed ──▶ free
//
// A slot is reused and never given back while the pool lives, so that whoever has found it in the table may look at it,
// whatever has become of the page: a pin counts once the slot, pinned, still has the identity that was looked for. Pins
// come and go by compare-and-swap of the state; everything else about it changes under the pool's lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

#include <tenure/eviction/node.hpp>
#include <tenure/page_pool.hpp>

namespace tenure::detail {

struct page_state {
  static constexpr std::uint64_t closed = 1;  // nobody may pin it: free, being read, or going
  static constexpr std::uint64_t writer = 2;  // the one pin is a writer's
  static constexpr std::uint64_t dirty = 4;
  static constexpr std::uint64_t writing = 8;  // to its file; one of the pins is for that
  static constexpr std::uint64_t waited = 16;  // somebody wants to know when the last pin goes
  static constexpr std::uint64_t aside = 32;   // the policy has given it up: it goes as soon as it can
  static constexpr std::uint64_t fresh = 64;   // prefetched, and not asked for: the policy does not know it yet
  static constexpr std::uint64_t one_pin = 1 << 16;
};

// A read that others wait for.
struct page_load {
  bool is_done = false;
  bool waits_for_frame = false;  // until somebody lets go of one
  std::exception_ptr error;
};

struct alignas(64) page_slot : eviction::link_ring {
  std::atomic<std::uint64_t> state{page_state::closed};
  std::atomic<std::uint64_t> identity{0};
  std::byte* memory = nullptr;
  std::atomic<std::uint64_t> pinned_at{0};  // the address of the last call
  std::uint64_t key = 0;
  // Of the rest under the lock alone.
  std::shared_ptr<page_load> load;
  std::uint64_t written_in = 0;    // the round of syncs in which it was written, 0: has not been since it was read
  std::uint64_t failed_syncs = 0;  // of its file, when its write began
  bool is_in_order = false;        // the policy has it
  bool is_ready = false;           // in the list of those that can go, or in that of an attempt that could not have it

  static constexpr unsigned number_bits = 48;
  static constexpr std::uint64_t most_number = (std::uint64_t{1} << number_bits) - 1;
  page_id page() const noexcept { return {static_cast<std::uint32_t>(key >> number_bits) - 1, key & most_number}; }
};
static_assert(sizeof(page_slot) == 128);

// Slots in order of arrival.
class slot_ring {
 public:
  slot_ring() noexcept { end_.previous = end_.next = &end_; }
  slot_ring(const slot_ring&) = delete;
  slot_ring& operator=(const slot_ring&) = delete;

  bool empty() const noexcept { return end_.next == &end_; }
  page_slot& first() noexcept { return static_cast<page_slot&>(*end_.next); }
  void push_first(page_slot& one) noexcept { put(one, end_); }
  void push_last(page_slot& one) noexcept { put(one, *end_.previous); }
  static void take(page_slot& one) noexcept {
    one.previous->next = one.next;
    one.next->previous = one.previous;
    one.previous = one.next = nullptr;
  }
  template <class function>
  void each(function see) const {
    for (const eviction::link_ring* at = end_.next; at != &end_; at = at->next) see(static_cast<const page_slot&>(*at));
  }

 private:
  static void put(page_slot& one, eviction::link_ring& behind) noexcept {
    one.previous = &behind;
    one.next = behind.next;
    behind.next->previous = &one;
    behind.next = &one;
  }
  eviction::link_ring end_;
};

}  // namespace tenure::detail
