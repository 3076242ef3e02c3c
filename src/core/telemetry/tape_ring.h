// The writer's half of one thread's ring in the tape (wire/tape.h): one writer, no lock, no atomic read-modify-write.
//
// What the reader has read is looked at only when the ring seems full, so a record costs its stores and one release.
// The pages belong to a file on a tmpfs that may be full: they are asked for in steps, ahead of the first lap, by a
// call that can fail; then there is no room, as if the ring were full.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/event.h"
#include "wire/tape.h"

namespace tenure::telemetry {

class tape_ring {
 public:
  // Makes [begin, begin + bytes) safe to write; false when there is no memory for it.
  using prepare_function = bool (*)(std::byte* begin, std::size_t bytes) noexcept;

  // `capacity_words` is a power of two. Goes on where the header says that the writer before it has stopped. Null
  // `prepare`: the memory is safe as it is.
  void attach(wire::tape_ring_header* header, std::uint64_t* words, std::uint64_t capacity_words,
              prepare_function prepare) noexcept;
  // Another ring may come to lie where this one was.
  void detach() noexcept { header_ = nullptr; }

  // Whether `words` more fit.
  bool has_room(std::uint64_t words) noexcept {
    const std::uint64_t end = head_ + words;
    return __builtin_expect(end <= limit_, 1) || look_for_room(end);
  }

  // Each needs room for its record: wire::tape_record_limit_words.
  void write_allocation(std::uint64_t address, std::uint64_t ticks, std::uint32_t stack, std::uint64_t bytes,
                        wire::allocation_entry entry) noexcept {
    const bool is_wide = bytes >= wire::tape_narrow_limit_bytes;
    const std::uint64_t named = static_cast<std::uint64_t>(entry) << wire::tape_entry_shift;
    put(0, first_word(is_wide ? wire::tape_kind::wide_allocation : wire::tape_kind::allocation, address) | named);
    put(1, ticks);
    put(2, std::uint64_t{stack} << wire::tape_stack_shift | (is_wide ? 0 : bytes));
    if (__builtin_expect(is_wide, 0)) put(3, bytes);
    publish(is_wide ? 4 : 3);
  }
  void write_free(std::uint64_t address, std::uint64_t ticks) noexcept {
    put(0, first_word(wire::tape_kind::free, address));
    put(1, ticks);
    publish(2);
  }
  void write_free_with_stack(std::uint64_t address, std::uint64_t ticks, std::uint32_t stack) noexcept {
    put(0, first_word(wire::tape_kind::free_with_stack, address));
    put(1, ticks);
    put(2, std::uint64_t{stack} << wire::tape_stack_shift);
    publish(3);
  }
  void write_thread(std::uint32_t thread_id, std::uint64_t ticks) noexcept {
    put(0, first_word(wire::tape_kind::thread, thread_id));
    put(1, ticks);
    put(2, __atomic_load_n(&header_->lost_allocations, __ATOMIC_RELAXED));
    put(3, __atomic_load_n(&header_->lost_bytes, __ATOMIC_RELAXED));
    put(4, __atomic_load_n(&header_->lost_frees, __ATOMIC_RELAXED));
    publish(5);
  }
  void write_free_range(std::uint64_t begin, std::uint64_t bytes, std::uint64_t ticks) noexcept {
    put(0, first_word(wire::tape_kind::free_range, begin));
    put(1, ticks);
    put(2, bytes);
    publish(3);
  }
  void write_free_range_with_stack(std::uint64_t begin, std::uint64_t bytes, std::uint64_t ticks,
                                   std::uint32_t stack) noexcept {
    put(0, first_word(wire::tape_kind::free_range_with_stack, begin));
    put(1, ticks);
    put(2, std::uint64_t{stack} << wire::tape_stack_shift);
    put(3, bytes);
    publish(4);
  }

  // A record that had no room; requested bytes of an allocation.
  void count_lost_allocation(std::uint64_t bytes) noexcept;
  void count_lost_free() noexcept;
  void count_wait(std::uint64_t nanoseconds) noexcept;

  void check() const noexcept;

 private:
  static std::uint64_t first_word(wire::tape_kind kind, std::uint64_t address) noexcept {
    return static_cast<std::uint64_t>(kind) << wire::tape_kind_shift | (address & wire::tape_address_mask);
  }
  void put(std::uint64_t at, std::uint64_t word) noexcept {
    __atomic_store_n(&words_[(head_ + at) & (capacity_ - 1)], word, __ATOMIC_RELAXED);
  }
  void publish(std::uint64_t words) noexcept {
    head_ += words;
    __atomic_store_n(&header_->head, head_, __ATOMIC_RELEASE);
  }
  bool look_for_room(std::uint64_t end) noexcept;

  wire::tape_ring_header* header_ = nullptr;
  std::uint64_t* words_ = nullptr;
  std::uint64_t capacity_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t limit_ = 0;  // up to here there is room, as far as is known
  std::uint64_t prepared_ = 0;
  prepare_function prepare_ = nullptr;
};

}  // namespace tenure::telemetry
