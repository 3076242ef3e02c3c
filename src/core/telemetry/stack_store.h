// Each distinct stack once, for as long as the process lives: live samples point here.
//
// Stacks lie one behind the other in chunks that are mapped when needed; a table of pointers, by hash, finds the one
// that is already there. Nothing is ever removed: a program has few distinct stacks against the samples it takes, and
// the limit keeps that a promise. Used under the lock of the samples (record.cc).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenure::telemetry {

struct stored_stack {
  std::uint64_t hash;
  std::uint64_t frame_count;

  const std::uint64_t* frames() const noexcept { return reinterpret_cast<const std::uint64_t*>(this + 1); }
};

class stack_store {
 public:
  static constexpr std::size_t chunk_bytes = 64 * 1024;
  static constexpr std::size_t limit_bytes = 64 * 1024 * 1024;

  // The stored copy of the stack; null when memory or the limit forbids a new one.
  const stored_stack* intern(const std::uint64_t* frames, std::size_t frame_count) noexcept;

  std::size_t count() const noexcept { return count_; }
  std::size_t mapped_bytes() const noexcept { return mapped_bytes_; }
  void check() const noexcept;

 private:
  const stored_stack** place_of(const stored_stack** table, std::size_t capacity, std::uint64_t hash,
                                const std::uint64_t* frames, std::size_t frame_count) const noexcept;
  bool grow_table() noexcept;
  stored_stack* append(std::uint64_t hash, const std::uint64_t* frames, std::size_t frame_count) noexcept;

  const stored_stack** table_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two, at least twice count_
  std::size_t count_ = 0;
  std::byte* chunk_ = nullptr;
  std::size_t chunk_left_bytes_ = 0;
  std::size_t mapped_bytes_ = 0;
};

}  // namespace tenure::telemetry
