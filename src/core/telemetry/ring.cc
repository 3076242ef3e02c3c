#include "core/telemetry/ring.h"

#include <cstring>

#include "core/base/check.h"
#include "core/base/yield_point.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t prepare_step_bytes = 64 * 1024;

std::uint64_t header_word(wire::event_kind kind, std::uint64_t bytes) noexcept {
  const wire::event_header header{static_cast<std::uint16_t>(kind), wire::event_magic,
                                  static_cast<std::uint32_t>(bytes)};
  std::uint64_t word;
  std::memcpy(&word, &header, sizeof word);
  return word;
}

void store_header(std::byte* record, wire::event_kind kind, std::uint64_t bytes) noexcept {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(record), header_word(kind, bytes), __ATOMIC_RELEASE);
}

ring_writer ring_of_process;

}  // namespace

ring_writer& process_ring() noexcept { return ring_of_process; }

void ring_writer::attach(wire::ring_header* header, std::byte* records, std::size_t capacity_bytes,
                         prepare_function prepare) noexcept {
  TENURE_CHECK(header != nullptr && records != nullptr);
  TENURE_CHECK(capacity_bytes % 8 == 0 && capacity_bytes >= 64);
  records_ = records;
  capacity_ = capacity_bytes;
  prepare_ = prepare;
  __atomic_store_n(&prepared_, prepare == nullptr ? capacity_bytes : 0, __ATOMIC_RELAXED);
  __atomic_store_n(&header->capacity_bytes, capacity_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&header_, header, __ATOMIC_RELEASE);
}

void ring_writer::detach() noexcept { __atomic_store_n(&header_, nullptr, __ATOMIC_RELEASE); }

// Threads that meet here prepare the same pages twice, which does no harm.
bool ring_writer::prepare_up_to(std::uint64_t end) noexcept {
  TENURE_DCHECK(end <= capacity_);
  const std::uint64_t from = __atomic_load_n(&prepared_, __ATOMIC_ACQUIRE);
  if (end <= from) return true;
  std::uint64_t to = (end + prepare_step_bytes - 1) / prepare_step_bytes * prepare_step_bytes;
  if (to > capacity_) to = capacity_;
  if (!prepare_(records_ + from, to - from)) return false;
  std::uint64_t seen = from;
  while (seen < to && !__atomic_compare_exchange_n(&prepared_, &seen, to, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
  }
  return true;
}

std::byte* ring_writer::reserve(std::size_t bytes) noexcept {
  TENURE_DCHECK(bytes % 8 == 0 && bytes >= sizeof(wire::event_header));
  wire::ring_header* header = __atomic_load_n(&header_, __ATOMIC_ACQUIRE);
  if (header == nullptr || bytes > capacity_) return nullptr;
  std::uint64_t head = __atomic_load_n(&header->head, __ATOMIC_RELAXED);
  for (;;) {
    TENURE_YIELD_POINT();
    const std::uint64_t tail = __atomic_load_n(&header->tail, __ATOMIC_ACQUIRE);
    TENURE_YIELD_POINT();
    const std::uint64_t place = head % capacity_;
    const std::uint64_t padding = bytes > capacity_ - place ? capacity_ - place : 0;
    const std::uint64_t used = head - tail;
    if (used > capacity_) {
      // Either other writers and the reader have passed the head seen above, or the other side is broken.
      const std::uint64_t now = __atomic_load_n(&header->head, __ATOMIC_ACQUIRE);
      if (now == head) return nullptr;
      head = now;
      continue;
    }
    if (bytes + padding > capacity_ - used || head % 8 != 0) return nullptr;
    if (!prepare_up_to(padding == 0 ? place + bytes : capacity_)) return nullptr;
    if (!__atomic_compare_exchange_n(&header->head, &head, head + padding + bytes, true, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)) {
      continue;
    }
    TENURE_YIELD_POINT();
    if (padding == 0) return records_ + place;
    store_header(records_ + place, wire::event_kind::padding, padding);
    TENURE_YIELD_POINT();
    return records_;
  }
}

void ring_writer::publish(std::byte* record, wire::event_kind kind, std::size_t bytes) noexcept {
  TENURE_DCHECK(record >= records_ && record + bytes <= records_ + capacity_);
  TENURE_YIELD_POINT();
  store_header(record, kind, bytes);
  wire::ring_header* header = __atomic_load_n(&header_, __ATOMIC_RELAXED);
  if (header != nullptr) __atomic_fetch_add(&header->written_events, 1, __ATOMIC_RELAXED);
}

void ring_writer::count_dropped(std::uint64_t weight_bytes) noexcept {
  wire::ring_header* header = __atomic_load_n(&header_, __ATOMIC_ACQUIRE);
  if (header == nullptr) return;
  __atomic_fetch_add(&header->dropped_events, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&header->dropped_bytes, weight_bytes, __ATOMIC_RELAXED);
}

// Of its own fields only: what lies in the ring the other side may have written.
void ring_writer::check() const noexcept {
  if (!attached()) return;
  TENURE_CHECK(records_ != nullptr && capacity_ % 8 == 0);
  TENURE_CHECK(__atomic_load_n(&prepared_, __ATOMIC_RELAXED) <= capacity_);
}

}  // namespace tenure::telemetry
