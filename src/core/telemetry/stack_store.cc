#include "core/telemetry/stack_store.h"

#include <cstring>

#include "core/base/bits.h"
#include "core/base/check.h"
#include "core/os/virtual_memory.h"
#include "wire/event.h"

namespace tenure::telemetry {
namespace {

constexpr std::size_t first_capacity = 512;

std::uint64_t hash_of(const std::uint64_t* frames, std::size_t frame_count) noexcept {
  std::uint64_t hash = frame_count;
  for (std::size_t i = 0; i < frame_count; ++i) {
    hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return hash;
}

bool same(const stored_stack& stack, std::uint64_t hash, const std::uint64_t* frames, std::size_t count) noexcept {
  return stack.hash == hash && stack.frame_count == count &&
         std::memcmp(stack.frames(), frames, count * sizeof *frames) == 0;
}

}  // namespace

const stored_stack** stack_store::place_of(const stored_stack** table, std::size_t capacity, std::uint64_t hash,
                                           const std::uint64_t* frames, std::size_t frame_count) const noexcept {
  TENURE_DCHECK(core::is_power_of_two(capacity));
  for (std::size_t i = hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
    if (table[i] == nullptr || same(*table[i], hash, frames, frame_count)) return &table[i];
  }
}

const stored_stack* stack_store::intern(const std::uint64_t* frames, std::size_t frame_count) noexcept {
  TENURE_CHECK(frame_count <= wire::stack_capacity_frames);
  if ((count_ + 1) * 2 > capacity_ && !grow_table()) return nullptr;
  const std::uint64_t hash = hash_of(frames, frame_count);
  const stored_stack** place = place_of(table_, capacity_, hash, frames, frame_count);
  if (*place != nullptr) return *place;
  const stored_stack* stack = append(hash, frames, frame_count);
  if (stack == nullptr) return nullptr;
  *place = stack;
  ++count_;
  return stack;
}

bool stack_store::grow_table() noexcept {
  const std::size_t capacity = capacity_ == 0 ? first_capacity : capacity_ * 2;
  const std::size_t bytes = capacity * sizeof *table_;
  auto** table = static_cast<const stored_stack**>(os::map_anywhere(bytes));
  if (table == nullptr) return false;
  for (std::size_t i = 0; i < capacity_; ++i) {
    if (table_[i] == nullptr) continue;
    *place_of(table, capacity, table_[i]->hash, table_[i]->frames(), table_[i]->frame_count) = table_[i];
  }
  const stored_stack** old = table_;
  const std::size_t old_bytes = capacity_ * sizeof *table_;
  table_ = table;
  capacity_ = capacity;
  mapped_bytes_ += bytes - old_bytes;
  if (old != nullptr) os::unmap(old, old_bytes);
  return true;
}

stored_stack* stack_store::append(std::uint64_t hash, const std::uint64_t* frames, std::size_t frame_count) noexcept {
  const std::size_t bytes = sizeof(stored_stack) + frame_count * sizeof *frames;
  static_assert(sizeof(stored_stack) + wire::stack_capacity_frames * sizeof *frames <= chunk_bytes);
  if (bytes > chunk_left_bytes_) {
    if (mapped_bytes_ + chunk_bytes > limit_bytes) return nullptr;
    auto* chunk = static_cast<std::byte*>(os::map_anywhere(chunk_bytes));
    if (chunk == nullptr) return nullptr;
    chunk_ = chunk;
    chunk_left_bytes_ = chunk_bytes;
    mapped_bytes_ += chunk_bytes;
  }
  auto* stack = reinterpret_cast<stored_stack*>(chunk_);
  chunk_ += bytes;
  chunk_left_bytes_ -= bytes;
  stack->hash = hash;
  stack->frame_count = frame_count;
  std::memcpy(stack + 1, frames, frame_count * sizeof *frames);
  return stack;
}

void stack_store::check() const noexcept {
  TENURE_CHECK(count_ * 2 <= capacity_);
  std::size_t seen = 0;
  for (std::size_t i = 0; i < capacity_; ++i) {
    if (table_[i] == nullptr) continue;
    ++seen;
    TENURE_CHECK(table_[i]->frame_count <= wire::stack_capacity_frames);
    TENURE_CHECK(hash_of(table_[i]->frames(), table_[i]->frame_count) == table_[i]->hash);
  }
  TENURE_CHECK(seen == count_);
}

}  // namespace tenure::telemetry
