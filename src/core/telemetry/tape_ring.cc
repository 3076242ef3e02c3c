#include "core/telemetry/tape_ring.h"

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/base/yield_point.h"

namespace tenure::telemetry {
namespace {

constexpr std::uint64_t prepare_step_words = 64 * 1024 / sizeof(std::uint64_t);

}  // namespace

void tape_ring::attach(wire::tape_ring_header* header, std::uint64_t* words, std::uint64_t capacity_words,
                       prepare_function prepare) noexcept {
  TENURE_CHECK(header != nullptr && words != nullptr);
  TENURE_CHECK(core::is_power_of_two(capacity_words) && capacity_words >= wire::tape_record_limit_words);
  const bool is_same = header == header_;
  header_ = header;
  words_ = words;
  capacity_ = capacity_words;
  prepare_ = prepare;
  head_ = __atomic_load_n(&header->head, __ATOMIC_ACQUIRE);
  limit_ = head_;
  if (!is_same) prepared_ = prepare == nullptr ? capacity_words : 0;
}

// The slow half of has_room(): what the reader has given back, and whether the pages are there.
[[gnu::noinline, gnu::cold]] bool tape_ring::look_for_room(std::uint64_t end) noexcept {
  TENURE_YIELD_POINT();
  const std::uint64_t tail = __atomic_load_n(&header_->tail, __ATOMIC_ACQUIRE);
  // A tail ahead of the head is the other side's mistake: then nothing has been read.
  if (head_ - tail > capacity_ || end - tail > capacity_) return false;
  while (prepared_ < capacity_ && end > prepared_) {
    if (!prepare_(reinterpret_cast<std::byte*>(words_ + prepared_), prepare_step_words * sizeof *words_)) return false;
    prepared_ += prepare_step_words;
  }
  const std::uint64_t known_room = tail + capacity_;
  limit_ = prepared_ < capacity_ && prepared_ < known_room ? prepared_ : known_room;
  return true;
}

void tape_ring::count_lost_allocation(std::uint64_t bytes) noexcept {
  __atomic_fetch_add(&header_->lost_allocations, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&header_->lost_bytes, bytes, __ATOMIC_RELAXED);
}
void tape_ring::count_lost_free() noexcept { __atomic_fetch_add(&header_->lost_frees, 1, __ATOMIC_RELAXED); }
void tape_ring::count_wait(std::uint64_t nanoseconds) noexcept {
  __atomic_fetch_add(&header_->waits, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&header_->wait_ns, nanoseconds, __ATOMIC_RELAXED);
}

// Of its own fields only: what lies in the ring the other side may have written.
void tape_ring::check() const noexcept {
  if (header_ == nullptr) return;
  TENURE_CHECK(core::is_power_of_two(capacity_) && prepared_ <= capacity_);
  TENURE_CHECK(limit_ - head_ <= capacity_ || head_ > limit_);
}

}  // namespace tenure::telemetry
